//! An answer: three lines of its head, and its body.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| properties::answer(data));
