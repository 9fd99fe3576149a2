mod input;
mod judgement;
mod manifest;
mod recorded;
