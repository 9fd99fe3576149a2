//! What tests, the quickstart and benches share: a receiver on loopback, and the operator and its REST API as an installed chart runs
//! them.

mod operator;
mod receiver;

pub use self::{
    operator::{Api, Installation, Operator, controller_args, output, pipe},
    receiver::{Answer, Received, Receiver},
};
