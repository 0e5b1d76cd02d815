//! Avro's object container files.

mod container;

use std::fmt;
use std::io::{self, Read};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_avro_fast::Schema;
use serde_avro_fast::object_container_file_encoding::{Compression, CompressionLevel, Writer, WriterBuilder};
use serde_avro_fast::ser::SerializerConfig;
use thalweg_dataflow::error::BoxError;

use self::container::Container;
use super::{FileFormat, StreamFormat, StreamReader};

/// So many bytes are in a block, before they are compressed; so much of a file that is being written is in memory.
const BLOCK: u32 = 64 << 10;

/// How the blocks of a file are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AvroCodec {
    /// Not at all.
    Null,
    /// As every reader of Avro can read it.
    #[default]
    Deflate,
    /// Fast, and a little larger.
    Snappy,
    /// Fast and small; readers that are older do not know it.
    Zstandard,
}

/// Writes records into Avro's container files, by a schema. The names of files end with `.avro`.
///
/// A record is what serde makes of it: fields go by their names, `None` is `null`. What does not fit the schema fails the job.
///
/// ```
/// use thalweg_connectors::files::FileSink;
/// use thalweg_connectors::files::format::{AvroCodec, AvroFormat};
///
/// #[derive(Clone, serde::Serialize)]
/// struct Count {
///     word: String,
///     count: i64,
/// }
///
/// let schema = r#"{"type": "record", "name": "Count", "fields": [{"name": "word", "type": "string"}, {"name": "count", "type": "long"}]}"#;
/// let format = AvroFormat::new(schema)?.with_codec(AvroCodec::Zstandard);
/// let sink: FileSink<Count, _, _> = FileSink::for_bulk_format("counts", format);
/// # let _ = sink;
/// # Ok::<(), thalweg_dataflow::error::BoxError>(())
/// ```
#[derive(Clone, Copy)]
pub struct AvroFormat {
    /// Kept for as long as the program runs, as those that write by it are.
    schema: &'static Schema,
    codec: AvroCodec,
}

impl AvroFormat {
    /// By a schema, in JSON. The schema stays in memory for as long as the program runs.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(schema: &str) -> Result<Self, BoxError> {
        let schema =
            schema.parse::<Schema>().map_err(|error| format!("this is no schema of Avro: {error}"))?;
        Ok(Self { schema: Box::leak(Box::new(schema)), codec: AvroCodec::default() })
    }

    /// How blocks are compressed. Default: [`AvroCodec::Deflate`].
    #[must_use]
    pub fn with_codec(mut self, codec: AvroCodec) -> Self {
        self.codec = codec;
        self
    }
}

impl fmt::Debug for AvroFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroFormat").field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl<T: Serialize> FileFormat<T> for AvroFormat {
    type File = Writer<'static, 'static, Vec<u8>>;

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<Self::File, BoxError> {
        let level = CompressionLevel::default();
        let compression = match self.codec {
            AvroCodec::Null => Compression::Null,
            AvroCodec::Deflate => Compression::Deflate { level },
            AvroCodec::Snappy => Compression::Snappy,
            AvroCodec::Zstandard => Compression::Zstandard { level },
        };
        let settings = WriterBuilder::with_owned_config(SerializerConfig::new(self.schema));
        let settings = settings.compression(compression).approx_block_size(BLOCK);
        let mut file = settings.build(Vec::new())?;
        out.append(file.inner_mut());
        Ok(file)
    }

    fn write(&mut self, file: &mut Self::File, record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        file.serialize(record)
            .map_err(|error| format!("a record does not fit the schema of Avro: {error}"))?;
        out.append(file.inner_mut());
        Ok(())
    }

    fn end(&mut self, file: Self::File, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.append(&mut file.into_inner()?);
        Ok(())
    }

    fn suffix(&self) -> String {
        ".avro".to_owned()
    }
}

/// Reads the records of Avro's container files, by the schema that each has in it: fields go by their names, those that a record does not have are passed over.
///
/// Blocks may be compressed by deflate, Snappy, zstandard or bzip2; the file as a whole, too.
///
/// ```
/// use thalweg_connectors::files::FileSource;
/// use thalweg_connectors::files::format::AvroReaderFormat;
///
/// #[derive(serde::Deserialize)]
/// struct Count {
///     word: String,
///     count: i64,
/// }
///
/// let source = FileSource::for_record_stream_format(AvroReaderFormat::<Count>::new(), "counts/");
/// # let _ = source;
/// ```
pub struct AvroReaderFormat<T>(PhantomData<fn() -> T>);

impl<T> AvroReaderFormat<T> {
    /// Reads records of `T`.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for AvroReaderFormat<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for AvroReaderFormat<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for AvroReaderFormat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AvroReaderFormat")
    }
}

impl<T: DeserializeOwned + Send + 'static> StreamFormat for AvroReaderFormat<T> {
    type Item = T;
    type Reader = AvroReader<T>;

    fn name(&self) -> String {
        "avro".to_owned()
    }

    fn open(&self, file: Box<dyn Read + Send>) -> io::Result<AvroReader<T>> {
        Ok(AvroReader { container: Container::open(file)?, records: PhantomData })
    }
}

/// Reads one container file.
pub struct AvroReader<T> {
    container: Container,
    records: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> StreamReader for AvroReader<T> {
    type Item = T;

    fn read(&mut self) -> io::Result<Option<(T, usize)>> {
        self.container.next()
    }

    fn skip(&mut self) -> io::Result<bool> {
        Ok(self.container.next::<IgnoredAny>()?.is_some())
    }
}
