//! Reads HTTP/1.1 responses: bytes in; the end, the status and whether the connection can be
//! reused out. Bodies are discarded in place. Only a head that arrives in pieces is copied,
//! unless the response is to be kept.

use std::mem::MaybeUninit;

/// Longest head in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Most headers of a response.
const MAX_HEADERS: usize = 100;

/// Longest chunk-size line with extensions, and longest trailer section, in bytes.
const MAX_FRAMING: u32 = 16 * 1024;

/// Most bytes of a body that are kept.
pub const MAX_KEPT: usize = 1024 * 1024;

/// Why bytes are not an HTTP/1.1 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Status line or headers.
    #[error("invalid HTTP response: {0}")]
    Head(httparse::Error),
    /// Status line and headers are longer than 64 KiB.
    #[error("the response's head is too large")]
    HeadTooLarge,
    /// Contradicting lengths, or not a number.
    #[error("invalid content-length")]
    ContentLength,
    /// A transfer-encoding in an HTTP/1.0 response.
    #[error("unexpected transfer-encoding")]
    TransferEncoding,
    /// A malformed chunk size, chunk end or trailer.
    #[error("invalid chunked body")]
    Chunk,
    /// Status 101, which was not requested.
    #[error("unexpected switch of protocols")]
    Upgrade,
    /// The connection was closed before the end of the response.
    #[error("connection closed before the response was complete")]
    Incomplete,
}

/// Position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In a size, after this number of digits.
    Size(u8),
    /// After the size.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Remaining bytes of the body.
    Length(u64),
    /// Remaining bytes of the chunk, or the digits of its size that were read.
    Chunked(Chunk, u64),
    /// The end of the connection is the end of the body.
    ToEnd,
    Done,
}

/// Reads responses, one after the other.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// The received part of a head that is not complete.
    head: Vec<u8>,
    /// Consecutive bytes of chunk-size lines and trailers.
    framing: u32,
    status: u16,
    reusable: bool,
    is_head: bool,
    keep: bool,
    kept: Kept,
}

/// The kept parts of a response.
#[derive(Debug, Default)]
pub struct Kept {
    /// Status line and headers.
    pub head: Vec<u8>,
    /// The first [`MAX_KEPT`] bytes of the body.
    pub body: Vec<u8>,
}

impl Kept {
    fn add(&mut self, body: &[u8]) {
        let free = MAX_KEPT - self.body.len();
        self.body.extend_from_slice(&body[..body.len().min(free)]);
    }
}

impl Reader {
    /// A reader; `is_head` for responses to `HEAD` requests, which have no body.
    pub fn new(is_head: bool) -> Reader {
        Reader {
            state: State::Head,
            head: Vec::new(),
            framing: 0,
            status: 0,
            reusable: false,
            is_head,
            keep: false,
            kept: Kept::default(),
        }
    }

    /// Starts the next response.
    pub fn restart(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.framing = 0;
    }

    /// Starts the next response, which is kept, to a request that may have another method.
    pub fn restart_keeping(&mut self, is_head: bool) {
        self.restart();
        (self.is_head, self.keep) = (is_head, true);
        self.kept.head.clear();
        self.kept.body.clear();
    }

    /// The kept response.
    pub fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Processes received bytes. Returns how many of them belong to this response: fewer than
    /// all only if it [is complete](Self::complete).
    ///
    /// # Errors
    /// The bytes are not an HTTP/1.1 response.
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

    /// Processes the end of the connection.
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

    /// The status, if the response is complete.
    pub fn complete(&self) -> Option<u16> {
        (self.state == State::Done).then_some(self.status)
    }

    /// Whether the server keeps the connection open after this response.
    pub fn reusable(&self) -> bool {
        self.reusable
    }

    /// Reads a head, including interim ones. Returns how many bytes of `rest` it used.
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

    /// Parses a head. Returns its length, or `None` if it is not complete.
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
        // A complete head has both.
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
        let bodiless = self.is_head || matches!(status, 204 | 304);
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

    /// Reads part of a chunked body. Returns how many bytes it used.
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

/// Appends the headers of a complete head, with names in lower case.
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

/// The length of a body according to its head.
#[derive(Clone, Copy, Default, PartialEq)]
enum Length {
    #[default]
    Unknown,
    Bytes(u64),
    /// Not a number, or contradicting numbers.
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

/// The headers that define the body's end and the connection's reuse.
#[derive(Default)]
struct Framing {
    length: Length,
    /// Whether the last transfer coding is `chunked`, if there are any.
    chunked: Option<bool>,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Framing {
        let mut framing = Framing::default();
        for header in headers {
            // Comparing lengths first excludes nearly all other headers.
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
mod tests;
