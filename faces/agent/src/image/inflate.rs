//! What is compressed, decompressed while it is read.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Reads through the compression that the first bytes show: gzip, zstd or none.
pub fn inflate<'a>(mut from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // A buffer gives at least one byte where there is one; files and buffers over them give many.
    let head = from.fill_buf()?;
    Ok(match compression(head) {
        Compression::Gzip => Box::new(MultiGzDecoder::new(from)),
        Compression::Zstd => Box::new(Zstd { from, decoder: FrameDecoder::new(), begun: false }),
        Compression::None => Box::new(from),
    })
}

/// What the first bytes of a file show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    None,
}

/// By the magic numbers of RFC 1952 and RFC 8878, section 3.1.
pub fn compression(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// How much is decompressed ahead; a frame's window, which the decoder bounds at 100 MiB, comes on top.
const STEP: usize = 256 << 10;

/// Frames of zstd, one after the other.
struct Zstd<R> {
    from: R,
    decoder: FrameDecoder,
    begun: bool,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if self.begun {
                if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    self.decoder.decode_blocks(&mut self.from, BlockDecodingStrategy::UptoBytes(STEP)).map_err(io::Error::other)?;
                }
                let count = self.decoder.read(into)?;
                if count > 0 || !self.decoder.is_finished() {
                    if count > 0 {
                        return Ok(count);
                    }
                    continue;
                }
                self.begun = false;
            }
            if self.from.fill_buf()?.is_empty() {
                return Ok(0);
            }
            match self.decoder.reset(&mut self.from) {
                Ok(()) => self.begun = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.from).take(length), &mut io::sink())? != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `zstd` writes them: "hello\n" in a frame with raw blocks, twice, a frame to skip between both.
    fn frames() -> Vec<u8> {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 6, 0x31, 0, 0, b'h', b'e', b'l', b'l', b'o', b'\n'];
        [&frame[..], &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], &frame[..]].concat()
    }

    #[test]
    fn zstd_of_several_frames_is_read_to_its_end() {
        let mut text = String::new();
        inflate(&frames()[..]).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello\nhello\n");
    }

    #[test]
    fn what_is_cut_off_or_garbled_is_an_error() {
        let whole = frames();
        for end in [3, 8, 12, 20, 24, whole.len() - 1] {
            let mut text = Vec::new();
            assert!(inflate(&whole[..end]).unwrap().read_to_end(&mut text).is_err() || end == 3, "{end}: {text:?}");
        }
        assert!(inflate(&[0x1f, 0x8b, 8, 0, 1][..]).unwrap().read_to_end(&mut Vec::new()).is_err());
    }
}
