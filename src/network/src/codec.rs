//! Request-response on the wire: one message is its length as a protobuf varint, then its
//! bytes. The length is checked before anything is allocated, so a peer can make us hold at
//! most the limit, and only while it really sends that much.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

/// Bytes read at a time: memory grows with what has arrived, not with what was promised.
const CHUNK: usize = 16 * 1024;

/// A length of 2^28 or more is beyond every limit, so four bytes of varint are enough.
const MAX_PREFIX: usize = 4;

/// Encoded messages, each no longer than a limit.
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
            let text = format!("a message of {len} bytes; the limit is {}", self.limit);
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
                "a message of {} bytes; the limit is {}",
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
        "a length of more than four bytes",
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
    fn what_is_written_is_read_back_at_every_size_up_to_the_limit() {
        for len in [0, 1, 127, 128, CHUNK, CHUNK + 1, LIMIT] {
            let message = vec![7u8; len];
            assert_eq!(read(&written(&message)).unwrap(), message, "{len}");
        }
    }

    #[test]
    fn a_longer_message_is_refused_from_its_length_alone() {
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
    fn a_truncated_message_is_an_error_wherever_it_was_cut() {
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
