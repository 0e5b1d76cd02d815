//! Compressed files, which are known by the ends of their names.

use std::io::{self, Read};
use std::path::Path;

/// How a file is compressed.
///
/// A compressed file is read whole by one subtask, as there is no way to begin in its middle; its position is one in the text. After a
/// restart it is decompressed again up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As it is.
    None,
    /// `.gz`, `.gzip`; several members one after the other are one text.
    Gzip,
    /// `.deflate`, `.zz`: with zlib's header, as Hadoop's `DefaultCodec` writes it.
    Deflate,
    /// `.zst`, `.zstd`.
    Zstd,
    /// `.bz2`, `.bzip2`.
    Bzip2,
    /// `.lz4`: frames, as the tool `lz4` writes them. Hadoop's blocks are another format.
    Lz4,
    /// `.sz`, `.snappy`: frames, as Snappy's `framing_format.txt` has it. Hadoop's blocks are another format.
    Snappy,
}

impl Compression {
    /// By the end of a name.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use thalweg_connectors::files::Compression;
    ///
    /// assert_eq!(Compression::of(Path::new("logs/web.log.GZ")), Compression::Gzip);
    /// assert_eq!(Compression::of(Path::new("logs/web.log")), Compression::None);
    /// ```
    pub fn of(path: &Path) -> Self {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        match end.as_str() {
            "gz" | "gzip" => Self::Gzip,
            "deflate" | "zz" => Self::Deflate,
            "zst" | "zstd" => Self::Zstd,
            "bz2" | "bzip2" => Self::Bzip2,
            "lz4" => Self::Lz4,
            "sz" | "snappy" => Self::Snappy,
            _ => Self::None,
        }
    }

    /// What is in the compressed `file`.
    ///
    /// # Errors
    /// When it does not begin as such a file does, or decompression is not built in.
    pub fn open(self, file: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        #[cfg(feature = "compression")]
        return Ok(match self {
            Self::None => file,
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Self::Deflate => Box::new(flate2::read::ZlibDecoder::new(file)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(file)),
            Self::Lz4 => Box::new(Lz4Frames(lz4_flex::frame::FrameDecoder::new(file))),
            Self::Snappy => Box::new(snap::read::FrameDecoder::new(file)),
        });
        #[cfg(not(feature = "compression"))]
        match self {
            Self::None => Ok(file),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it is compressed, and this build has no decompression; build it with the feature `compression`",
            )),
        }
    }
}

/// Frames of LZ4 one after the other: the decoder says that it has come to an end after each.
#[cfg(feature = "compression")]
struct Lz4Frames<R: Read>(lz4_flex::frame::FrameDecoder<R>);

#[cfg(feature = "compression")]
impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            // After the last frame it says so again.
            0 if !buffer.is_empty() => self.0.read(buffer),
            read => Ok(read),
        }
    }
}
