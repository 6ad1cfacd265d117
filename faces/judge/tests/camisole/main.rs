//! camisole's interface over real HTTP, in front of a judge that does what its sources say: rows of the table of routes, negotiation, requests,
//! answers and errors. What real programs do is tested where there is a real judge (`server/tests`).

#![forbid(unsafe_code)]

mod errors;
mod fuzz;
mod leaving;
mod negotiation;
mod quotas;
mod routes;
mod scripted;
mod world;
