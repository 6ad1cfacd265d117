//! Workspaces, from outside: what a sandbox is shown, what it can do, what a commit makes of it, and what an attacker gets.

mod attacks;
mod commits;
mod identity;
mod killed;
mod mounted;
mod passing;
mod publishing;
mod pushing;
mod used;
mod world;
