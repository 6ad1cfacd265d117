//! The program as its users meet it: started, configured, asked, ended, killed.

#![forbid(unsafe_code)]

mod agent_shell;
mod agent_talk;
mod agent_user;
mod agent_words;
mod agentfense;
mod config;
mod ending;
mod hostile;
mod leaving;
mod load;
mod names;
mod native;
mod operator;
mod programs;
mod scripts;
mod seats;
mod shares;
mod tls;
mod world;
