//! Text made by a format: `format(value, spec)`, `str.format` and `%`.

mod characters;
mod digits;
mod percent;
pub(super) mod spec;
mod str_format;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    percent::percent,
    str_format::{format_map, str_format},
};
