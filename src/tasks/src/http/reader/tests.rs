//! Compared with hyper as the reference: both accept the same responses, however the bytes are
//! split.

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// The result of reading a response.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// `None` for an error.
    status: Option<u16>,
    /// Whether the connection can be reused, if the server has not closed it.
    reusable: bool,
}

/// Reads `bytes` in pieces that end at `cuts`, then the end of the connection if `closes`.
fn ours(bytes: &[u8], cuts: &[usize], is_head: bool, closes: bool) -> Read {
    let failed = Read {
        status: None,
        reusable: false,
    };
    let mut reader = Reader::new(is_head);
    reader.restart();
    let mut beyond = 0;
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        match reader.feed(&bytes[from..to]) {
            Ok(taken) => beyond += to - from - taken,
            Err(_) => return failed,
        }
        from = to;
    }
    if reader.complete().is_none() && (!closes || reader.end().is_err()) {
        return failed;
    }
    Read {
        status: reader.complete(),
        reusable: reader.reusable() && beyond == 0,
    }
}

/// Number of times that all other tasks may run until none can proceed: more than enough.
const YIELDS: usize = 10;

/// The result of hyper.
async fn reference(bytes: &'static [u8], is_head: bool, closes: bool) -> Read {
    let (client, mut server) = tokio::io::duplex(1 << 20);
    let serving = tokio::spawn(async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if server.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        server.write_all(bytes).await.unwrap();
        if !closes {
            let _ = server.read_buf(&mut request).await;
        }
    });
    let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let method = if is_head { "HEAD" } else { "GET" };
    let request = http::Request::builder().method(method).uri("/");
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let mut status = None;
    if let Ok(response) = sender.send_request(request).await {
        let code = response.status().as_u16();
        status = response.collect().await.is_ok().then_some(code);
    }
    // Its task processes bytes after the response when it runs again. All tasks are on this thread
    // and connected by memory, so no event comes from outside.
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
    }
    let reusable = !closes && sender.ready().await.is_ok();
    drop(sender);
    serving.await.unwrap();
    Read { status, reusable }
}

/// The bytes, whether the request was a `HEAD`, and whether the server closes the connection.
const RESPONSES: &[(&[u8], bool, bool)] = &[
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok", false, true),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", false, true),
    (b"HTTP/1.1 200 OK\r\n\r\n", false, true),
    (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 204 No Content\r\n\r\n", false, false),
    (b"HTTP/1.1 204 No Content\r\ncontent-length: two\r\n\r\n", false, false),
    (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", true, false),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", true, false),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=b\r\no\r\n1 \r\nk\r\n000\r\nx: y\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 9\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nuntil the end", false, true),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nok\r\n0\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok beyond", false, false),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, false),
    (b"HTTP/1.1 abc OK\r\n\r\n", false, true),
    (b"HTTP/2.0 200 OK\r\n\r\n", false, true),
    (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", false, false),
    (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n", false, true),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2", false, true),
    (b"SSH-2.0-OpenSSH_9.6\r\n", false, true),
    (b"", false, true),
];

#[tokio::test]
async fn responses_are_read_like_hyper_reads_them_however_they_are_split() {
    for (bytes, is_head, closes) in RESPONSES {
        let text = String::from_utf8_lossy(bytes);
        let mut expected = reference(bytes, *is_head, *closes).await;
        let whole = ours(bytes, &[], *is_head, *closes);
        if *closes {
            // A closed connection is not reused, even if the response allows it.
            expected.reusable = whole.reusable;
        }
        assert_eq!(whole, expected, "{text:?}");
        for cut in 1..bytes.len().max(1) {
            let read = ours(bytes, &[cut], *is_head, *closes);
            assert_eq!(read, expected, "cut at {cut}: {text:?}");
        }
        let each: Vec<usize> = (1..bytes.len()).collect();
        let read = ours(bytes, &each, *is_head, *closes);
        assert_eq!(read, expected, "byte by byte: {text:?}");
    }
}

#[test]
fn a_switch_of_protocols_is_rejected() {
    let mut reader = Reader::new(false);
    let fed = reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
    assert_eq!(fed, Err(Malformed::Upgrade));
}

#[test]
fn heads_have_a_maximum_length_and_number_of_headers() {
    let head = |headers: usize, value: usize| {
        let line = format!("a: {}\r\n", "v".repeat(value));
        format!("HTTP/1.1 204 x\r\n{}\r\n", line.repeat(headers))
    };
    let read = |text: &str, piece: usize| {
        let mut reader = Reader::new(false);
        for part in text.as_bytes().chunks(piece) {
            reader.feed(part)?;
        }
        Ok(reader.complete())
    };
    for piece in [1, 1000, 1 << 20] {
        assert_eq!(read(&head(100, 1), piece), Ok(Some(204)));
        assert_eq!(
            read(&head(101, 1), piece),
            Err(Malformed::Head(httparse::Error::TooManyHeaders))
        );
    }
    for piece in [1000, 40_000] {
        assert_eq!(read(&head(60, 1000), piece), Ok(Some(204)));
        assert_eq!(read(&head(90, 1000), piece), Err(Malformed::HeadTooLarge));
    }
}

#[test]
fn chunk_lines_and_trailers_have_a_maximum_length() {
    let mut reader = Reader::new(false);
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;";
    reader.feed(head).unwrap();
    let endless = vec![b'x'; 1 << 20];
    assert_eq!(reader.feed(&endless), Err(Malformed::Chunk));
}

#[test]
fn a_long_body_is_discarded_in_pieces() {
    let mut reader = Reader::new(false);
    reader
        .feed(b"HTTP/1.1 200 OK\r\ncontent-length: 6000000000\r\n\r\n")
        .unwrap();
    let piece = vec![0; 60_000];
    for i in 0..100_000 {
        assert_eq!(reader.complete(), None, "after {i}");
        assert_eq!(reader.feed(&piece), Ok(piece.len()));
    }
    assert_eq!(reader.complete(), Some(200));
}
