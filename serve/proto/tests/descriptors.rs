//! What reflection tells of `sandbox.v1`: the names, numbers and types that clients' own descriptors have.

#![forbid(unsafe_code)]

use enclos_proto::prost::Message;
use enclos_proto::prost_types::FileDescriptorSet;
use enclos_proto::sandbox_v1::DESCRIPTORS;
use enclos_proto::tonic::service::Routes;

fn files() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).unwrap()
}

#[test]
fn the_files_have_the_names_that_clients_know() {
    let set = files();
    let ours: Vec<&str> = set.file.iter().filter(|file| file.package() == "sandbox.v1").map(|file| file.name()).collect();
    assert_eq!(ours.len(), 3);
    for name in ["common.proto", "sandbox.proto", "codebase.proto"] {
        assert!(ours.contains(&name), "{ours:?}");
    }
}

/// `fields.txt` was written from the descriptors of the published client: message, then field=number:type of each.
#[test]
fn fields_have_the_numbers_that_clients_know() {
    let mut fields = Vec::new();
    for file in files().file.iter().filter(|file| file.package() == "sandbox.v1") {
        for message in &file.message_type {
            let nested = message.nested_type.iter().filter(|nested| !nested.name().ends_with("Entry"));
            for message in std::iter::once(message).chain(nested) {
                let numbers = message.field.iter().map(|field| format!("{}={}:{}", field.name(), field.number(), field.r#type() as i32));
                fields.push(std::iter::once(message.name().to_owned()).chain(numbers).collect::<Vec<_>>().join(" "));
            }
        }
    }
    assert_eq!(fields.join("\n"), include_str!("fields.txt").trim());
}

#[test]
fn both_services_have_all_their_methods() {
    let set = files();
    let services: Vec<_> = set.file.iter().flat_map(|file| &file.service).collect();
    let shown: Vec<String> = services
        .iter()
        .map(|service| {
            let methods = service.method.iter().map(|method| {
                let mark = |stream: bool| if stream { "~" } else { "" };
                format!("{}{}>{}", mark(method.client_streaming()), method.name(), mark(method.server_streaming()))
            });
            format!("{}: {}", service.name(), methods.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "SandboxService: CreateSandbox> GetSandbox> ListSandboxes> StartSandbox> StopSandbox> DestroySandbox> Exec> ExecStream>~ \
             CreateSession> GetSession> ListSessions> DestroySession> SessionExec> SessionExecStream>~",
            "CodebaseService: CreateCodebase> GetCodebase> ListCodebases> DeleteCodebase> ~UploadFiles> DownloadFile>~ ListFiles>",
        ]
    );
}

#[test]
fn reflection_takes_the_descriptors() {
    let names = ["sandbox.v1.SandboxService", "sandbox.v1.CodebaseService"];
    assert!(enclos_proto::server::reflection(Routes::default(), &names, &[DESCRIPTORS]).is_ok());
}
