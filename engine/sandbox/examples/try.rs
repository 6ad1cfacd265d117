//! Runs a command confined and prints the report.
#![forbid(unsafe_code)]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut policy = match std::env::var("POLICY") {
        Ok(text) => enclos_sandbox::spec::Policy::from_toml(&text).expect("policy"),
        Err(_) => enclos_sandbox::spec::Policy::default(),
    };
    policy.current_directory = std::env::current_dir().ok();
    let mut command = enclos_sandbox::Command::new(&args[0]);
    command.args(&args[1..]).policy(&policy).tty(std::env::var("TTY").is_ok()).forward_signals(std::env::var("FWD").is_ok());
    match command.status() {
        Ok(outcome) => {
            if std::env::var("QUIET").is_err() {
                println!("{:?}\n{:#?}", outcome.status, outcome.report);
            }
        }
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(125);
        }
    }
}
