//! Makes a sandbox with a workspace, hands it over to whoever holds the other end of its standard input, and waits to be killed.
//!
//! `hand_over LAUNCHER|cold DIRECTORY`: the directory has `lower`, `w/upper`, `w/work`.
#![forbid(unsafe_code)]
use std::io::IoSlice;
use std::os::fd::AsFd;
use std::path::Path;

use enclos_sandbox::{Launcher, Sandbox, Stdio, Workspace, spec::Policy};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

fn main() {
    let mut args = std::env::args().skip(1);
    let (launcher, directory) = (args.next().expect("launcher"), args.next().expect("directory"));
    let directory = Path::new(&directory);
    let workspace = Workspace::new(vec![directory.join("lower")], directory.join("w/upper"), directory.join("w/work"));
    let policy = Policy::default();
    let mut made_from = None;
    let sandbox = if launcher == "cold" {
        Sandbox::create_with(&policy, Some(&workspace)).expect("sandbox")
    } else {
        let launcher = Launcher::start(launcher).expect("launcher");
        let template = launcher.living_template(&policy, Some(&workspace.at)).expect("template");
        let sandbox = template.sandbox(Some(&workspace)).expect("sandbox");
        made_from = Some((launcher, template));
        sandbox
    };
    sandbox.command("sh").args(["-c", "echo before > note"]).status().expect("command");
    let script = "i=0; while :; do i=$((i+1)); echo $i > /tmp/beat; sleep 0.05; done";
    let _running = sandbox.command("sh").args(["-c", script]).stdin(Stdio::Null).spawn().expect("command");
    let (kept, descriptors) = sandbox.keep().expect("keep");
    let text = serde_json::to_vec(&kept).expect("record");
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(12))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    sendmsg(std::io::stdin(), &[IoSlice::new(&text)], &mut control, SendFlags::empty()).expect("hand over");
    std::thread::sleep(std::time::Duration::from_secs(600));
    drop(made_from);
}
