//! `repr` of a float, which `str`, JSON and formatting share. Other methods of floats are in `numbers/float.rs`.

/// A float as Python's `repr` writes it: the shortest digits that read back, with an exponent of at least two digits
/// below 1e-4 and from 1e16.
pub fn float_repr(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e16) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text, // inf
        }
    } else if value.is_nan() {
        "nan".to_owned()
    } else {
        format!("{value:?}")
    }
}
