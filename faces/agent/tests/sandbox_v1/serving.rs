//! What every gRPC server has: health, reflection, and an answer to methods that nobody has.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use enclos_host::axum::body::Body;
use enclos_host::bytes::Bytes;
use enclos_host::tokio::sync::mpsc;
use enclos_proto::prost::Message;
use enclos_proto::tonic::Code;
use enclos_proto::tonic::codegen::tokio_stream;
use enclos_proto::{health, reflection};

use super::world::World;

#[test]
fn health_says_when_the_server_ends() {
    let world = World::new();
    let check = |service: &str| {
        let request = health::HealthCheckRequest { service: service.to_owned() };
        world.block(world.health().check(request)).map(|answer| answer.into_inner().status())
    };
    for service in ["", "sandbox.v1.SandboxService", "sandbox.v1.CodebaseService", "enclos.agent.v1.Interactive", "grpc.health.v1.Health"] {
        assert_eq!(check(service).unwrap(), health::health_check_response::ServingStatus::Serving, "{service}");
    }
    assert_eq!(check("none").unwrap_err().code(), Code::NotFound);
    let watch = health::HealthCheckRequest { service: String::new() };
    let mut watch = world.block(world.health().watch(watch)).unwrap().into_inner();
    assert_eq!(world.block(watch.message()).unwrap().unwrap().status(), health::health_check_response::ServingStatus::Serving);
    world.stop.ask();
    assert_eq!(world.block(watch.message()).unwrap().unwrap().status(), health::health_check_response::ServingStatus::NotServing);
    assert!(world.block(watch.message()).unwrap().is_none(), "a watch does not hold the end up");
}

#[test]
fn reflection_lists_the_services_and_finds_the_files() {
    use reflection::server_reflection_request::MessageRequest;
    use reflection::server_reflection_response::MessageResponse;
    let world = World::new();
    let ask = |message_request| {
        let request = reflection::ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
        let mut answers = world.block(world.reflection().server_reflection_info(tokio_stream::iter([request]))).unwrap().into_inner();
        world.block(answers.message()).unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else { panic!("no list") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["sandbox.v1.SandboxService", "sandbox.v1.CodebaseService", "enclos.agent.v1.Interactive", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for file in ["sandbox.proto", "codebase.proto", "common.proto", "enclos/agent/v1/interactive.proto"] {
        let MessageResponse::FileDescriptorResponse(found) = ask(MessageRequest::FileByFilename(file.to_owned())) else {
            panic!("no {file}")
        };
        assert!(!found.file_descriptor_proto.is_empty());
    }
}

#[test]
fn a_method_that_nobody_has_is_unimplemented() {
    let world = World::new();
    for path in ["/sandbox.v1.SandboxService/None", "/enclos.agent.v1.Interactive/None", "/none.Service/None", "/"] {
        assert_eq!(world.raw(path, &[]), 12, "{path}");
    }
}

#[test]
fn a_request_that_stops_in_the_middle_is_given_up() {
    let world = World::waiting("", Duration::from_millis(100));
    // The head of a request whose message never comes.
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let body = Body::from_stream(Never(receiver));
    assert!((1..=16).contains(&world.raw_request("/sandbox.v1.SandboxService/GetSandbox", body)));
    drop(sender);
}

/// Nothing, until it is let go.
struct Never(mpsc::Receiver<Result<Bytes, Infallible>>);

impl tokio_stream::Stream for Never {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[test]
fn descriptors_that_reflection_gives_can_be_read() {
    let set = enclos_proto::prost_types::FileDescriptorSet::decode(enclos_proto::sandbox_v1::DESCRIPTORS).unwrap();
    assert!(set.file.iter().any(|file| file.name() == "google/protobuf/timestamp.proto"));
}
