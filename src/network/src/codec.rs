//! The request-response format: the length of a message as a protobuf varint, then its bytes. The
//! length is checked before memory is allocated, and memory grows only with the bytes received.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

/// Bytes that are allocated and read at once.
const CHUNK: usize = 16 * 1024;

/// Longest length prefix in bytes. Four bytes encode lengths below 2^28, far above every limit.
const MAX_PREFIX: usize = 4;

/// Reads and writes messages up to a limit.
#[derive(Clone, Debug)]
pub(super) struct Codec {
    limit: usize,
}

impl Codec {
    pub(super) fn new(limit: usize) -> Codec {
        Codec { limit }
    }

    async fn read<T: AsyncRead + Unpin + Send>(&self, io: &mut T) -> io::Result<Vec<u8>> {
        let len = read_length(io).await?;
        if len > self.limit {
            let text = format!("the message has {len} bytes, the limit is {}", self.limit);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let start = bytes.len();
            bytes.resize(len.min(start + CHUNK), 0);
            io.read_exact(&mut bytes[start..]).await?;
        }
        Ok(bytes)
    }

    async fn write<T: AsyncWrite + Unpin + Send>(
        &self,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        if bytes.len() > self.limit {
            let text = format!(
                "the message has {} bytes, the limit is {}",
                bytes.len(),
                self.limit
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut prefix = Vec::with_capacity(MAX_PREFIX);
        prost::encoding::encode_varint(bytes.len() as u64, &mut prefix);
        io.write_all(&prefix).await?;
        io.write_all(&bytes).await
    }
}

async fn read_length<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<usize> {
    let mut len = 0usize;
    for i in 0..MAX_PREFIX {
        let mut byte = [0u8];
        io.read_exact(&mut byte).await?;
        len |= usize::from(byte[0] & 0x7f) << (7 * i);
        if byte[0] & 0x80 == 0 {
            return Ok(len);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the length prefix has more than four bytes",
    ))
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, bytes).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    const LIMIT: usize = 64 * 1024;

    fn written(bytes: &[u8]) -> Vec<u8> {
        let mut io = Cursor::new(Vec::new());
        block_on(Codec::new(LIMIT).write(&mut io, bytes.to_vec())).unwrap();
        io.into_inner()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        block_on(Codec::new(LIMIT).read(&mut Cursor::new(bytes)))
    }

    #[test]
    fn messages_up_to_the_limit_are_read_back() {
        for len in [0, 1, 127, 128, CHUNK, CHUNK + 1, LIMIT] {
            let message = vec![7u8; len];
            assert_eq!(read(&written(&message)).unwrap(), message, "{len}");
        }
    }

    #[test]
    fn a_longer_message_is_refused_after_its_length_prefix() {
        let mut prefix = Vec::new();
        prost::encoding::encode_varint(LIMIT as u64 + 1, &mut prefix);
        assert_eq!(
            read(&prefix).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            read(&[0xff; 16]).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_longer_message_is_not_written() {
        let mut io = Cursor::new(Vec::new());
        let result = block_on(Codec::new(LIMIT).write(&mut io, vec![0; LIMIT + 1]));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(io.into_inner().is_empty());
    }

    #[test]
    fn a_message_truncated_anywhere_is_an_error() {
        let whole = written(&[7u8; 300]);
        for cut in 0..whole.len() {
            assert_eq!(
                read(&whole[..cut]).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof,
                "{cut}"
            );
        }
    }
}
