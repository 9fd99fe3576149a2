//! `Content-Encoding` undone, within bounds on the bytes and on the work.

use std::io::Read;

use flate2::{
    bufread::GzDecoder,
    read::{DeflateDecoder, ZlibDecoder},
};

/// Bound on what is read of an answer, in bytes. An answer that reaches it is only known to be longer.
pub const READ_LIMIT: usize = 1_000_000;

/// Bound on the encodings of one answer, as `requests` has it.
const ENCODINGS: usize = 5;

/// Bound on the members of one gzip stream: each takes time, even an empty one.
const MEMBERS: usize = 1000;

/// Bound on the encoded bytes of one answer, all its encodings taken together: blocks take time, even empty ones.
const ENCODED_LIMIT: usize = 2 * READ_LIMIT;

/// Undoes the encodings that `Content-Encoding` lists, the last first. Unknown encodings are left as they are. Stops soon
/// after [`READ_LIMIT`] bytes.
///
/// # Errors
/// The body is not encoded as the list says, or decoding would take too long. The message is one clause for people.
pub fn decode(encodings: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    if encodings.split(',').count() > ENCODINGS {
        return Err(format!("The answer lists more than {ENCODINGS} encodings, which are not undone"));
    }
    let mut encoded = 0;
    encodings.rsplit(',').map(str::trim).try_fold(body, |body, encoding| {
        let undo = match encoding.to_ascii_lowercase().as_str() {
            _ if body.is_empty() => return Ok(body),
            "gzip" | "x-gzip" => gunzip,
            "deflate" => inflate,
            _ => return Ok(body),
        };
        encoded += body.len();
        if encoded > ENCODED_LIMIT {
            return Err(format!("The answer is encoded as over {ENCODED_LIMIT} bytes, which are not undone"));
        }
        undo(&body).map_err(|error| match error {
            DecodeError::NotEncoded => format!("The answer says that it is encoded with {encoding}, and is not"),
            DecodeError::TooManyMembers => {
                format!("The answer has over {MEMBERS} members of {encoding}, which are not undone")
            }
        })
    })
}

/// Why an encoding is not undone.
enum DecodeError {
    /// The body is not in this encoding.
    NotEncoded,
    /// The gzip stream has more than [`MEMBERS`] members.
    TooManyMembers,
}

/// Decodes one member of a gzip stream after the other. Whatever follows the first member and is no member is left out.
fn gunzip(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if !body.starts_with(b"\x1f") {
        return Err(DecodeError::NotEncoded);
    }
    let mut rest = body;
    let mut out = unpack(GzDecoder::new(&mut rest))?;
    for _ in 1..MEMBERS {
        if rest.is_empty() || out.len() > READ_LIMIT {
            return Ok(out);
        }
        let Ok(member) = unpack(GzDecoder::new(&mut rest)) else { return Ok(out) };
        out.extend(member);
    }
    if rest.is_empty() { Ok(out) } else { Err(DecodeError::TooManyMembers) }
}

/// Decodes zlib, which is what `deflate` means, or the bare deflate that some servers send in its place.
fn inflate(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    unpack(ZlibDecoder::new(body)).or_else(|_| unpack(DeflateDecoder::new(body)))
}

/// Reads from `decoder` up to the limit. Of a stream that is cut off, returns what there is.
fn unpack(decoder: impl Read) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match decoder.take(READ_LIMIT as u64 + 1).read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(out),
        Err(_) => Err(DecodeError::NotEncoded),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    #[test]
    fn bodies_are_decoded_as_far_as_they_go_and_never_far_beyond_the_limit() {
        let gzip = |text: &[u8]| {
            let mut out = GzEncoder::new(Vec::new(), Compression::best());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        let zipped = gzip(b"zipped");
        let half = zipped[..zipped.len() - 6].to_vec();
        // The checksum is the four bytes before the last four.
        let mut wrong = zipped.clone();
        let checksum = wrong.len() - 5;
        wrong[checksum] ^= 1;
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(b"raw").unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"zlib").unwrap();
        let cases = [
            ("", b"plain".to_vec(), Ok(&b"plain"[..])),
            ("br", b"kept".to_vec(), Ok(b"kept")),
            ("gzip", Vec::new(), Ok(b"")),
            ("GZIP", zipped.clone(), Ok(b"zipped")),
            ("gzip, gzip", gzip(&zipped), Ok(b"zipped")),
            ("gzip", half, Ok(b"zipped")),
            ("deflate", deflated.finish().unwrap(), Ok(b"raw")),
            ("deflate", zlib.finish().unwrap(), Ok(b"zlib")),
            ("gzip", [zipped.clone(), b"rubbish".to_vec()].concat(), Ok(b"zipped")),
            ("gzip", [zipped.clone(), gzip(b" twice")].concat(), Ok(b"zipped twice")),
            ("gzip", b"not gzip".to_vec(), Err("The answer says that it is encoded with gzip, and is not")),
            ("gzip", wrong, Err("The answer says that it is encoded with gzip, and is not")),
            (
                "gzip, gzip, gzip, gzip, gzip, gzip",
                zipped.clone(),
                Err("The answer lists more than 5 encodings, which are not undone"),
            ),
            ("gzip", [zipped.clone(), gzip(b"").repeat(MEMBERS - 1)].concat(), Ok(b"zipped")),
            (
                "x-gzip",
                gzip(b"").repeat(MEMBERS + 1),
                Err("The answer has over 1000 members of x-gzip, which are not undone"),
            ),
        ];
        for (encodings, body, expected) in cases {
            let expected = expected.map(<[u8]>::to_vec).map_err(str::to_owned);
            assert_eq!(decode(encodings, body), expected, "{encodings}");
        }
        let bomb = gzip(&gzip(&vec![0; 100 * READ_LIMIT]));
        assert_eq!(decode("gzip, gzip", bomb).map(|body| body.len()), Ok(READ_LIMIT + 1));
        // Stored uncompressed, so that every step is as long as the one before.
        let stored = |text: Vec<u8>| {
            let mut out = GzEncoder::new(Vec::new(), Compression::none());
            out.write_all(&text).unwrap();
            out.finish().unwrap()
        };
        let long = stored(stored(stored(vec![0; READ_LIMIT])));
        let refused = "The answer is encoded as over 2000000 bytes, which are not undone".to_owned();
        assert_eq!(decode("gzip, gzip, gzip", long), Err(refused));
    }
}
