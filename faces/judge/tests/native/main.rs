//! The native interface over real HTTP, in front of a judge that does what its sources say. What real programs do is tested where there is
//! a real judge.

#![forbid(unsafe_code)]

mod asynchronous;
mod batches;
mod callbacks;
mod fake;
mod fuzz;
mod killed;
mod requests;
mod routes;
mod socket;
mod stream;
mod world;
