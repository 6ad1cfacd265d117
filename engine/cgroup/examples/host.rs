//! Says what control groups this host gives us, then runs a command in a group and says what it used:
//! `cargo run -p enclos-cgroup --example host -- gzip -k file`.

use enclos_cgroup::{Controller, Host, Limits, Meters, Name};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Host::probe()?;
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        for finding in host.findings() {
            println!("{:8} {}: {}", finding.state.to_string(), finding.subject, finding.detail);
            for (word, text) in [("cost", finding.cost), ("remedy", finding.remedy)] {
                if !text.is_empty() {
                    println!("         {word}: {text}");
                }
            }
        }
        return Ok(());
    };
    let memory = host.place(Controller::Memory).is_ok().then_some(256 << 20);
    let mut group = host.create(&Name::fresh()?, &Limits { memory, meters: Meters::ALL, ..Limits::default() })?;
    let mut child = std::process::Command::new(program).args(arguments).spawn()?;
    group.add(child.id())?;
    child.wait()?;
    println!("{:#?}", group.usage()?);
    group.kill()?;
    group.remove()?;
    Ok(())
}
