//! Reading HTTP/1.1 responses: bytes in, nothing but the end, the status and the reuse of the
//! connection out. Bodies are counted off and thrown away where they stand; nothing is copied
//! but a head that arrives in pieces, unless the response is to be kept.

use std::mem::MaybeUninit;

/// Longest head in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Most headers of a response.
const MAX_HEADERS: usize = 100;

/// Longest line of a chunk's size with its extensions, and longest trailer section, in bytes.
const MAX_FRAMING: u32 = 16 * 1024;

/// Most of a body that is kept, in bytes.
pub const MAX_KEPT: usize = 1024 * 1024;

/// Why bytes are no HTTP/1.1 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Status line or headers.
    #[error("invalid HTTP response: {0}")]
    Head(httparse::Error),
    /// Status line and headers are longer than 64 KiB.
    #[error("the response's head is too large")]
    HeadTooLarge,
    /// More than one length, or no number.
    #[error("invalid content-length")]
    ContentLength,
    /// In an HTTP/1.0 response.
    #[error("unexpected transfer-encoding")]
    TransferEncoding,
    /// A chunk's size, its ends or a trailer.
    #[error("invalid chunked body")]
    Chunk,
    /// 101, although nothing of the kind was asked for.
    #[error("unexpected switch of protocols")]
    Upgrade,
    /// The connection ended before the response did.
    #[error("connection closed before the response was complete")]
    Incomplete,
}

/// Where a chunked body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In a size, of which so many digits were read.
    Size(u8),
    /// Between a size and its extension.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes of the body are left.
    Length(u64),
    /// Bytes left of the chunk, or its size as far as it was read.
    Chunked(Chunk, u64),
    /// The body ends with the connection.
    ToEnd,
    Done,
}

/// Reads one response after the other.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// The part of a head that has come so far.
    head: Vec<u8>,
    /// Bytes of chunk lines and trailers in a row.
    framing: u32,
    status: u16,
    reusable: bool,
    to_head: bool,
    keep: bool,
    kept: Kept,
}

/// What is kept of a response.
#[derive(Debug, Default)]
pub struct Kept {
    /// Status line and headers.
    pub head: Vec<u8>,
    /// The first [`MAX_KEPT`] bytes of the body.
    pub body: Vec<u8>,
}

impl Kept {
    fn add(&mut self, body: &[u8]) {
        let room = MAX_KEPT - self.body.len();
        self.body.extend_from_slice(&body[..body.len().min(room)]);
    }
}

impl Reader {
    /// For responses to `HEAD` requests, which have no body, or to others.
    pub fn new(to_head: bool) -> Reader {
        Reader {
            state: State::Head,
            head: Vec::new(),
            framing: 0,
            status: 0,
            reusable: false,
            to_head,
            keep: false,
            kept: Kept::default(),
        }
    }

    /// The next response begins.
    pub fn restart(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.framing = 0;
    }

    /// The next response begins, to a request of another kind than before, and is kept.
    pub fn restart_keeping(&mut self, to_head: bool) {
        self.restart();
        (self.to_head, self.keep) = (to_head, true);
        self.kept.head.clear();
        self.kept.body.clear();
    }

    /// What was kept.
    pub fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Takes in what has arrived. Returns how many bytes of it belong to this response:
    /// fewer than all only if it [is complete](Self::complete).
    ///
    /// # Errors
    /// It is no HTTP/1.1 response.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            let rest = &input[at..];
            at += match self.state {
                State::Head => self.read_head(rest)?,
                State::Length(left) => {
                    let n = left.min(rest.len() as u64);
                    if self.keep {
                        self.kept.add(&rest[..n as usize]);
                    }
                    self.state = match left - n {
                        0 => State::Done,
                        left => State::Length(left),
                    };
                    n as usize
                }
                State::Chunked(place, left) => self.read_chunks(rest, place, left)?,
                State::ToEnd => {
                    if self.keep {
                        self.kept.add(rest);
                    }
                    rest.len()
                }
                State::Done => 0,
            };
        }
        Ok(at)
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The response was not complete.
    pub fn end(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::ToEnd | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Malformed::Incomplete),
        }
    }

    /// The status, once the response has been read to its end.
    pub fn complete(&self) -> Option<u16> {
        (self.state == State::Done).then_some(self.status)
    }

    /// The server lets the connection stay open after this response.
    pub fn reusable(&self) -> bool {
        self.reusable
    }

    /// Reads a head, interim ones included; returns how many bytes of `rest` it took.
    fn read_head(&mut self, rest: &[u8]) -> Result<usize, Malformed> {
        if self.head.is_empty() {
            return match self.parse_head(rest)? {
                Some(taken) => Ok(taken),
                None => {
                    self.keep_head(rest)?;
                    Ok(rest.len())
                }
            };
        }
        let before = self.head.len();
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(&rest[..rest.len().min(MAX_HEAD + 1 - before)]);
        match self.parse_head(&head)? {
            Some(taken) => {
                head.clear();
                self.head = head;
                Ok(taken - before)
            }
            None if head.len() > MAX_HEAD => Err(Malformed::HeadTooLarge),
            None => {
                self.head = head;
                Ok(rest.len())
            }
        }
    }

    fn keep_head(&mut self, part: &[u8]) -> Result<(), Malformed> {
        if part.len() > MAX_HEAD {
            return Err(Malformed::HeadTooLarge);
        }
        self.head.extend_from_slice(part);
        Ok(())
    }

    /// Parses a head that may not be whole yet; returns its length.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut headers = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = config
            .parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers)
            .map_err(Malformed::Head)?;
        let httparse::Status::Complete(length) = length else {
            return Ok(None);
        };
        // Both are there in a complete head.
        let status = parsed.code.unwrap_or_default();
        let newest = parsed.version == Some(1);
        match status {
            101 => return Err(Malformed::Upgrade),
            100..200 => return Ok(Some(length)),
            _ => {}
        }
        if self.keep {
            self.kept.head.extend_from_slice(&bytes[..length]);
        }
        let framing = Framing::of(parsed.headers);
        self.status = status;
        self.reusable = match newest {
            true => !framing.close,
            false => framing.keep_alive && !framing.close,
        };
        let bodiless = self.to_head || matches!(status, 204 | 304);
        self.state = match (framing.chunked, framing.length) {
            _ if bodiless => State::Done,
            (Some(_), _) if !newest => return Err(Malformed::TransferEncoding),
            (Some(true), _) => State::Chunked(Chunk::Size(0), 0),
            (Some(false), _) | (None, Length::Unknown) => {
                self.reusable = false;
                State::ToEnd
            }
            (None, Length::Bytes(0)) => State::Done,
            (None, Length::Bytes(n)) => State::Length(n),
            (None, Length::Invalid) => return Err(Malformed::ContentLength),
        };
        Ok(Some(length))
    }

    /// Reads of a chunked body; returns how many bytes it took.
    fn read_chunks(&mut self, rest: &[u8], place: Chunk, left: u64) -> Result<usize, Malformed> {
        if place == Chunk::Data {
            let n = left.min(rest.len() as u64);
            if self.keep {
                self.kept.add(&rest[..n as usize]);
            }
            self.framing = 0;
            self.state = match left - n {
                0 => State::Chunked(Chunk::DataCr, 0),
                left => State::Chunked(Chunk::Data, left),
            };
            return Ok(n as usize);
        }
        self.framing += 1;
        if self.framing > MAX_FRAMING {
            return Err(Malformed::Chunk);
        }
        let byte = rest[0];
        let next = match (place, byte) {
            (Chunk::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 15 => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.state = State::Chunked(Chunk::Size(digits + 1), left << 4 | u64::from(digit));
                return Ok(1);
            }
            (Chunk::Size(1..) | Chunk::Space, b'\t' | b' ') => Chunk::Space,
            (Chunk::Size(1..) | Chunk::Space, b';') => Chunk::Extension,
            (Chunk::Size(1..) | Chunk::Space | Chunk::Extension, b'\r') => Chunk::SizeLf,
            (Chunk::Extension, b'\n') => return Err(Malformed::Chunk),
            (Chunk::Extension, _) => Chunk::Extension,
            (Chunk::SizeLf, b'\n') if left == 0 => Chunk::Line,
            (Chunk::SizeLf, b'\n') => Chunk::Data,
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size(0),
            (Chunk::Line, b'\r') => Chunk::LastLf,
            (Chunk::Trailer, b'\r') => Chunk::TrailerLf,
            (Chunk::Line | Chunk::Trailer, b'\n') => return Err(Malformed::Chunk),
            (Chunk::Line | Chunk::Trailer, _) => Chunk::Trailer,
            (Chunk::TrailerLf, b'\n') => Chunk::Line,
            (Chunk::LastLf, b'\n') => {
                self.state = State::Done;
                return Ok(1);
            }
            _ => return Err(Malformed::Chunk),
        };
        self.state = State::Chunked(next, left);
        Ok(1)
    }
}

/// The headers of a head that has been read, names in lower case.
pub fn headers_of(head: &[u8], into: &mut Vec<(String, String)>) {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    if parsed.parse(head).is_ok() {
        into.extend(parsed.headers.iter().map(|h| {
            let value = String::from_utf8_lossy(h.value).into_owned();
            (h.name.to_ascii_lowercase(), value)
        }));
    }
}

/// What a head says of the body's length.
#[derive(Clone, Copy, Default, PartialEq)]
enum Length {
    #[default]
    Unknown,
    Bytes(u64),
    /// No number, or two.
    Invalid,
}

impl Length {
    fn and(self, token: &[u8]) -> Length {
        match (self, number(token)) {
            (Length::Unknown, Some(n)) => Length::Bytes(n),
            (Length::Bytes(known), Some(n)) if known == n => self,
            _ => Length::Invalid,
        }
    }
}

/// What a head says of its body and of the connection.
#[derive(Default)]
struct Framing {
    length: Length,
    /// There are transfer codings; whether the last is `chunked`.
    chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Framing {
        let mut framing = Framing::default();
        for header in headers {
            // Their lengths tell these three from nearly all others.
            match header.name.len() {
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for token in tokens(header.value) {
                        framing.close |= token.eq_ignore_ascii_case(b"close");
                        framing.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    framing.length = tokens(header.value).fold(framing.length, Length::and);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    for token in tokens(header.value) {
                        framing.chunked = Some(token.eq_ignore_ascii_case(b"chunked"));
                    }
                }
                _ => {}
            }
        }
        framing
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit()
            .then(|| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))?
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "reader_tests.rs"]
mod tests;
