//! Tests of control groups: on texts and made-up trees, and on whatever this host really has.

mod delegated;
mod detect;
mod faults;
mod fixture;
mod life;
mod limits;
mod meters;
mod missing;
mod orphans;
mod real;
mod renew;
mod signals;
mod stress;
