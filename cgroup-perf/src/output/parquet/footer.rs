//! The end of a file, which says what is in it, and row groups that move.

use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};

/// What a file begins and ends with.
pub(super) const MAGIC: &[u8; 4] = b"PAR1";

/// Where in its file a column is: from where, and how long. None if that can't be.
pub(super) fn place(column: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    let from = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let (from, length) = (u64::try_from(from).ok()?, u64::try_from(column.compressed_size()).ok()?);
    from.checked_add(length)?;
    Some((from, length))
}

/// A row group that is so many bytes further in its file than it was, as the file's so-many-th.
pub(super) fn moved(row_group: &RowGroupMetaData, by: i64, ordinal: usize) -> Result<RowGroupMetaData, ParquetError> {
    let mut columns = Vec::with_capacity(row_group.num_columns());
    for column in row_group.columns() {
        let moved = column
            .clone()
            .into_builder()
            .set_data_page_offset(column.data_page_offset() + by)
            .set_dictionary_page_offset(column.dictionary_page_offset().map(|offset| offset + by))
            .build()?;
        columns.push(moved);
    }
    let builder = row_group.clone().into_builder().set_column_metadata(columns);
    let builder = match row_group.file_offset() {
        Some(offset) => builder.set_file_offset(offset + by),
        None => builder,
    };
    builder.set_ordinal(i32::try_from(ordinal).unwrap_or(i32::MAX)).build()
}

/// The end of a file of these row groups.
pub(super) fn footer(file: &FileMetaData, row_groups: &[RowGroupMetaData]) -> Result<Vec<u8>, ParquetError> {
    let rows = row_groups.iter().map(RowGroupMetaData::num_rows).sum();
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(file.schema_descr().clone()),
        file.column_orders().cloned(),
    );
    let metadata = ParquetMetaData::new(file, row_groups.to_vec());
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish()?;
    Ok(bytes)
}

/// What an end says, as far as it is of the first `length` bytes of its file, and where the last row group of those ends.
pub(super) fn within(footer: &[u8], length: u64) -> Result<(FileMetaData, Vec<RowGroupMetaData>, u64), ParquetError> {
    // Eight bytes after the metadata: its length, and the magic.
    let metadata = footer.len().checked_sub(8).and_then(|end| footer.get(..end)).unwrap_or_default();
    let metadata = ParquetMetaDataReader::decode_metadata(metadata)?;
    let mut end = MAGIC.len() as u64;
    let mut complete = Vec::new();
    for row_group in metadata.row_groups() {
        let ends = row_group.columns().iter().map(|column| place(column).map_or(u64::MAX, |(from, long)| from + long));
        let last = ends.max().unwrap_or(end);
        if last > length {
            break;
        }
        end = end.max(last);
        complete.push(row_group.clone());
    }
    Ok((metadata.file_metadata().clone(), complete, end))
}
