//! Batches, encoded into row groups that can be put into any file.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::MAGIC;
use crate::output::arrow::{Columns, RecordBatch, Schema};

/// Rows of a page, of which each column holds one that is not compressed yet: with twice as many a sample takes a twentieth
/// less, and the writer a quarter more memory.
const PAGE_ROWS: usize = 32_768;

/// A row group that is complete, and where its parts are in it.
#[derive(Debug, Clone)]
pub(super) struct RowGroup {
    /// Its columns, one after the other.
    pub(super) bytes: Bytes,
    /// What is in them; places are from the beginning of `bytes`.
    pub(super) metadata: RowGroupMetaData,
    /// What a file of such row groups says of itself.
    pub(super) file: FileMetaData,
    /// The wall clock's time at the beginning of its first slot, in nanoseconds.
    pub(super) time: i64,
}

impl RowGroup {
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.num_rows()).unwrap_or(0)
    }
}

/// Encodes batches. Each row group is written as a file in memory, and cut out of it: so it can go into a file later
/// than it was made, or into another one than it was made for.
#[derive(Debug)]
pub(super) struct Encoder {
    columns: Columns,
    /// With what files say of themselves: some readers take that from here, where there is an Arrow schema.
    schema: Arc<Schema>,
    properties: WriterProperties,
    current: Option<ArrowWriter<Vec<u8>>>,
}

impl Encoder {
    pub(super) fn new(columns: Columns, level: ZstdLevel, metadata: Vec<KeyValue>) -> Self {
        let schema = schema(&columns, &metadata);
        let properties = properties(&columns, level, metadata);
        Self { columns, schema, properties, current: None }
    }

    /// What files say of themselves from the next row group on.
    pub(super) fn set_metadata(&mut self, level: ZstdLevel, metadata: Vec<KeyValue>) {
        self.schema = schema(&self.columns, &metadata);
        self.properties = properties(&self.columns, level, metadata);
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let writer = match &mut self.current {
            Some(writer) => writer,
            none => {
                let options = ArrowWriterOptions::new().with_properties(self.properties.clone());
                none.insert(ArrowWriter::try_new_with_options(Vec::new(), self.schema.clone(), options)?)
            }
        };
        writer.write(batch)
    }

    /// Rows of the open row group.
    pub(super) fn rows(&self) -> usize {
        self.current.as_ref().map_or(0, ArrowWriter::in_progress_rows)
    }

    /// About how large the open row group will be.
    pub(super) fn bytes(&self) -> usize {
        self.current.as_ref().map_or(0, ArrowWriter::in_progress_size)
    }

    /// Ends the open row group; none if nothing was written.
    pub(super) fn finish(&mut self, time: i64) -> Result<Option<RowGroup>, ParquetError> {
        let Some(mut writer) = self.current.take() else { return Ok(None) };
        let metadata = writer.finish()?;
        let bytes = Bytes::from(std::mem::take(writer.inner_mut()));
        let Some(row_group) = metadata.row_groups().first() else { return Ok(None) };
        let end = row_group.columns().iter().filter_map(super::place).map(|(from, length)| from + length).max();
        let end = usize::try_from(end.unwrap_or(0)).unwrap_or(usize::MAX);
        if end > bytes.len() || end < MAGIC.len() {
            return Err(ParquetError::General("a row group that ends beyond its file".to_owned()));
        }
        let start = i64::try_from(MAGIC.len()).unwrap_or(0);
        let file = metadata.file_metadata().clone();
        let group_metadata = super::moved(row_group, -start, 0)?;
        Ok(Some(RowGroup { bytes: bytes.slice(MAGIC.len()..end), metadata: group_metadata, file, time }))
    }
}

fn schema(columns: &Columns, metadata: &[KeyValue]) -> Arc<Schema> {
    let pairs = metadata.iter().map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default()));
    Arc::new(Schema::new_with_metadata(columns.schema().fields().clone(), pairs.collect::<HashMap<_, _>>()))
}

/// How columns are encoded: few values by a dictionary, whose runs cost nothing; times by their differences; numbers that
/// are all different byte by byte, which leaves zstd the upper bytes to squeeze.
fn properties(columns: &Columns, level: ZstdLevel, metadata: Vec<KeyValue>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("cgroup-perf ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata))
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let time = ColumnPath::from("time");
    properties = properties
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED);
    let split = |name: &str| name == "ran_ns" || columns.events().iter().any(|event| is_number_of(name, &event.name));
    for field in columns.schema().fields().iter().filter(|field| split(field.name())) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
}

fn is_number_of(column: &str, event: &str) -> bool {
    column.strip_prefix(event).is_some_and(|rest| matches!(rest, "" | "_enabled_ns" | "_running_ns"))
}
