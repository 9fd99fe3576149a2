//! Text made by a format: `format(value, spec)`, `str.format` and `%`.

mod characters;
mod digits;
mod percent;
mod spec;
mod str_format;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    percent::percent,
    spec::format_value,
    str_format::{format_map, str_format},
};
