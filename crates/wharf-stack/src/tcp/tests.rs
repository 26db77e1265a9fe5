//! Behaviour of a connection: tables of segments against one ([`bench`]), and two back to back over a bad link in virtual
//! time ([`pair`]).

mod bench;
mod pair;

mod acknowledging;
mod buffers;
mod closing;
mod ecn;
mod handed;
mod handshake;
mod idle;
mod loss;
mod parking;
pub(super) mod predicted;
mod random;
mod recovery;
mod sending;
mod transfer;
mod validity;
