mod input;
mod manifest;
mod recorded;
