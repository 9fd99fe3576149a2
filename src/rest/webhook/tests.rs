mod input;
mod manifest;
