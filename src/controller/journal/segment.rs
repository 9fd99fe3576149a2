//! The data of a segment: lines of JSON, compressed.
//!
//! Records of one event have its data each, and those of a storm are alike: together they take a tenth of what they take apart.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::Deserialize;

use crate::{kubernetes::objects, resources::WebhookResponse};

/// Bound on the text of a segment, in bytes.
pub(super) const MOST_TEXT: usize = 512 * 1024;
/// Bound on its data, in bytes. The records that are being added when it is reached are added still.
pub(super) const MOST_DATA: usize = 224 * 1024;
/// Bound on one record, in bytes: a longer one is written directly.
pub(super) const MOST_RECORD: usize = 32 * 1024;

/// A record in the journal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JournalRecord {
    /// The generation of the Webhook that was sent for.
    #[serde(default)]
    pub(crate) webhook_generation: Option<i64>,
    /// The WebhookResponse as it is to be; with its version, if it is known to be there.
    pub(crate) response: WebhookResponse,
}

impl JournalRecord {
    /// How many attempts it tells of.
    pub(super) fn attempts(&self) -> u32 {
        self.response.status.as_ref().map_or(0, |status| status.attempt_count)
    }

    /// Whether the receiver answered that it wants no more (410).
    pub(crate) fn is_gone(&self) -> bool {
        let status = self.response.status.as_ref();
        status.is_some_and(|status| status.status_code == Some(410) && status.next_attempt_time.is_none())
    }
}

/// A segment that can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    /// It is not what the operator has made.
    #[error("it is not base64")]
    Base64(#[from] base64::DecodeError),
    /// It is not what the operator has made.
    #[error("it is not compressed text")]
    Gzip(#[from] std::io::Error),
    /// It is larger than any that the operator makes.
    #[error("it has more than {MOST_INFLATED} bytes of text")]
    TooLarge,
    /// The object is not what the operator has made, or the API server does not let it be read.
    #[error(transparent)]
    Object(Box<objects::Error>),
    /// A line is no record, or another version's.
    #[error("line {0} is no record that this version can read")]
    Record(usize, #[source] serde_json::Error),
}

/// Bound on what is read of a segment, in bytes of text.
const MOST_INFLATED: usize = 2 * MOST_TEXT;

/// Makes a segment of as many records as there is room for, the first ones. Returns how many these are, and the data.
pub(super) fn deflate<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Result<(usize, Vec<u8>), std::io::Error> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let (mut count, mut text) = (0, 0);
    for record in records {
        if count > 0 && (text + record.len() > MOST_TEXT || encoder.get_ref().len() > MOST_DATA) {
            break;
        }
        encoder.write_all(record)?;
        encoder.write_all(b"\n")?;
        count += 1;
        text += record.len() + 1;
    }
    Ok((count, encoder.finish()?))
}

/// The records of a segment, as text.
#[derive(Debug)]
pub(super) struct Lines {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Lines {
    /// Reads the data of a segment.
    pub(super) fn inflate(data: &[u8]) -> Result<Self, SegmentError> {
        let mut text = Vec::new();
        let bound = u64::try_from(MOST_INFLATED).unwrap_or(u64::MAX);
        GzDecoder::new(data).take(bound + 1).read_to_end(&mut text)?;
        if text.len() > MOST_INFLATED {
            return Err(SegmentError::TooLarge);
        }
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place).collect();
        Ok(Self { text, ends })
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        self.text.len() + size_of::<usize>() * self.ends.len()
    }

    /// How many records it has.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// One of them, as text; nothing if there is no such line.
    pub(super) fn line(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end + 1);
        self.ends.get(number).and_then(|end| self.text.get(start..*end)).unwrap_or_default()
    }

    /// One of them.
    pub(super) fn record(&self, number: usize) -> Result<JournalRecord, SegmentError> {
        serde_json::from_slice(self.line(number)).map_err(|error| SegmentError::Record(number + 1, error))
    }
}

/// The data as the object has it.
pub(super) fn to_text(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// The data that an object has.
pub(super) fn from_text(text: &str) -> Result<Vec<u8>, SegmentError> {
    Ok(STANDARD.decode(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_a_segment_takes_no_more_than_its_bound() {
        let records: Vec<Vec<u8>> =
            (0..300).map(|number| format!("{{\"number\": {number}}}").repeat(400).into_bytes()).collect();
        let (count, data) = deflate(records.iter().map(Vec::as_slice)).unwrap();
        let fitting = MOST_TEXT / (records[299].len() + 1);
        assert!((fitting - 10..fitting + 40).contains(&count), "{count} {fitting}");
        let lines = Lines::inflate(&from_text(&to_text(&data)).unwrap()).unwrap();
        assert_eq!(lines.count(), count);
        let read: Vec<&[u8]> = (0..count).map(|number| lines.line(number)).collect();
        assert_eq!(read, records[..count]);
        assert_eq!(lines.line(count), b"");
    }

    #[test]
    fn what_compresses_badly_is_bounded_too() {
        // Of letters that nothing foretells.
        let mut random = fastrand::Rng::with_seed(1);
        let records: Vec<Vec<u8>> =
            (0..50).map(|_| (0..MOST_RECORD).map(|_| random.alphanumeric() as u8).collect()).collect();
        let (count, data) = deflate(records.iter().map(Vec::as_slice)).unwrap();
        assert!(data.len() < MOST_DATA + 6 * MOST_RECORD, "{}", data.len());
        assert!(count > 5);
        // As base64 it is within the schema's bound.
        assert!(to_text(&data).len() < 1_000_000);
    }

    #[test]
    fn a_segment_that_nobody_of_us_has_made_is_refused_with_the_reason() {
        let message = |data: &[u8]| Lines::inflate(data).unwrap_err().to_string();
        assert_eq!(from_text("§").unwrap_err().to_string(), "it is not base64");
        assert_eq!(message(b"text"), "it is not compressed text");
        let (_, bomb) = deflate([vec![b' '; 3 * MOST_TEXT].as_slice()]).unwrap();
        assert_eq!(message(&bomb), "it has more than 1048576 bytes of text");
        let (_, other) = deflate([b"{}".as_slice(), b"nonsense"]).unwrap();
        let error = Lines::inflate(&other).unwrap().record(1).unwrap_err();
        assert_eq!(error.to_string(), "line 2 is no record that this version can read");
    }
}
