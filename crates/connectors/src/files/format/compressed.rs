//! Another format, compressed.

use thalweg_dataflow::error::BoxError;

use super::FileFormat;
use crate::files::Compression;

/// Compresses what another format writes: gzip, zstd, deflate (with zlib's header) or bzip2. The names of files end with that: `.csv.gz`.
///
/// Sizes that sinks roll at are those of the compressed files. Avro compresses by itself; see `AvroFormat::with_codec`.
///
/// ```
/// use thalweg_connectors::files::format::{CompressedFormat, JsonLinesFormat};
/// use thalweg_connectors::files::{Compression, FileSink};
///
/// let format = CompressedFormat::new(JsonLinesFormat, Compression::Zstd);
/// let sink: FileSink<(String, u64), _, _> = FileSink::for_bulk_format("counts", format);
/// # let _ = sink;
/// ```
#[derive(Clone, Debug)]
pub struct CompressedFormat<F> {
    format: F,
    compression: Compression,
    plain: Vec<u8>,
}

impl<F> CompressedFormat<F> {
    /// Compresses what `format` writes. A job that is to write what cannot be written is refused by an error at its first record.
    pub fn new(format: F, compression: Compression) -> Self {
        Self { format, compression, plain: Vec::new() }
    }
}

#[cfg(feature = "compression")]
mod files {
    use std::io::{self, Write};

    use super::{BoxError, Compression};

    /// A file that is compressed as it is written.
    pub struct CompressedFile<S> {
        pub(super) inner: S,
        pub(super) compressor: Compressor,
    }

    /// What has gone in comes out of the vector inside.
    pub(super) enum Compressor {
        None(Vec<u8>),
        Gzip(flate2::write::GzEncoder<Vec<u8>>),
        Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
        Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
        Bzip2(bzip2::write::BzEncoder<Vec<u8>>),
    }

    impl Compressor {
        pub(super) fn new(compression: Compression) -> Result<Self, BoxError> {
            let out = Vec::new();
            Ok(match compression {
                Compression::None => Self::None(out),
                Compression::Gzip => {
                    Self::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default()))
                }
                Compression::Deflate => {
                    Self::Deflate(flate2::write::ZlibEncoder::new(out, flate2::Compression::default()))
                }
                // Its own default.
                Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(out, 0)?),
                Compression::Bzip2 => {
                    Self::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::default()))
                }
                other => {
                    return Err(format!(
                        "files are not written in {other:?}; take gzip, zstd, deflate or bzip2"
                    )
                    .into());
                }
            })
        }

        /// Compresses `bytes`, and hands on what has come of those before.
        pub(super) fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
            let done = match self {
                Self::None(done) => {
                    done.extend_from_slice(bytes);
                    done
                }
                Self::Gzip(writer) => {
                    writer.write_all(bytes)?;
                    writer.get_mut()
                }
                Self::Deflate(writer) => {
                    writer.write_all(bytes)?;
                    writer.get_mut()
                }
                Self::Zstd(writer) => {
                    writer.write_all(bytes)?;
                    writer.get_mut()
                }
                Self::Bzip2(writer) => {
                    writer.write_all(bytes)?;
                    writer.get_mut()
                }
            };
            out.append(done);
            Ok(())
        }

        pub(super) fn finish(self) -> io::Result<Vec<u8>> {
            match self {
                Self::None(done) => Ok(done),
                Self::Gzip(writer) => writer.finish(),
                Self::Deflate(writer) => writer.finish(),
                Self::Zstd(writer) => writer.finish(),
                Self::Bzip2(writer) => writer.finish(),
            }
        }
    }
}

#[cfg(feature = "compression")]
pub use files::CompressedFile;

#[cfg(feature = "compression")]
impl<T, F: FileFormat<T>> FileFormat<T> for CompressedFormat<F> {
    type File = CompressedFile<F::File>;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        let mut compressor = files::Compressor::new(self.compression)?;
        self.plain.clear();
        let inner = self.format.begin(&mut self.plain)?;
        compressor.write(&self.plain, out)?;
        Ok(CompressedFile { inner, compressor })
    }

    fn write(&mut self, file: &mut Self::File, record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.plain.clear();
        self.format.write(&mut file.inner, record, &mut self.plain)?;
        Ok(file.compressor.write(&self.plain, out)?)
    }

    fn end(&mut self, mut file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.plain.clear();
        self.format.end(file.inner, &mut self.plain)?;
        file.compressor.write(&self.plain, out)?;
        out.extend(file.compressor.finish()?);
        Ok(())
    }

    fn suffix(&self) -> String {
        let end = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Deflate => ".deflate",
            Compression::Zstd => ".zst",
            Compression::Bzip2 => ".bz2",
            Compression::Lz4 => ".lz4",
            Compression::Snappy => ".sz",
        };
        format!("{}{end}", self.format.suffix())
    }
}

/// Without the feature `compression` nothing can be.
#[cfg(not(feature = "compression"))]
impl<T, F: FileFormat<T>> FileFormat<T> for CompressedFormat<F> {
    type File = F::File;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        self.plain.clear();
        match self.compression {
            Compression::None => self.format.begin(out),
            other => Err(format!("files cannot be written in {other:?}: this build has no compression; build it with the feature `compression`").into()),
        }
    }

    fn write(&mut self, file: &mut Self::File, record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.format.write(file, record, out)
    }

    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        self.format.end(file, out)
    }
}
