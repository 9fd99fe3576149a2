//! What tests, the quickstart and benches share: a receiver on loopback, and the operator as an installed chart runs it.

mod operator;
mod receiver;

pub use self::{
    operator::{Installation, Operator, controller_args, output, pipe},
    receiver::{Answer, Received, Receiver},
};
