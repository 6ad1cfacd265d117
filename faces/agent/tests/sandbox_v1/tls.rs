//! The same over TLS, where a certificate says who calls.

use std::sync::atomic::Ordering;

use enclos_proto::sandbox_v1 as proto;
use enclos_proto::tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use enclos_proto::tonic::{Code, Status};
use enclos_testkit::certificates::Papers;

use super::asking;
use super::files::{data, download, metadata, upload};
use super::world::{World, command_of};

const KEYS: &str = "[[keys]]\nname = \"ann\"\nconcurrent = 2\ncertificates = [\"cn:ann\"]\n[[keys]]\nname = \"bob\"\ncertificates = [\"dns:bob.example\"]\n";

type Asking = asking::Asking<World>;

impl Asking {
    fn new() -> Asking {
        Asking::serving(KEYS, World::with)
    }

    fn channel(&self, papers: Option<&Papers>) -> Channel {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authorities.servers.pem())).domain_name("localhost");
        if let Some(papers) = papers {
            tls = tls.identity(Identity::from_pem(&papers.certificate, &papers.key));
        }
        let _entered = self.world.runtime.enter();
        Endpoint::from_shared(format!("https://{}", self.world.grpc)).unwrap().tls_config(tls).unwrap().connect_lazy()
    }

    /// Speaks over the channel of this one from now on.
    fn as_who(&mut self, papers: &Papers) -> &World {
        let channel = self.channel(Some(papers));
        self.world.over(channel);
        &self.world
    }

    fn ann(&self) -> Papers {
        self.authorities.clients.client("ann")
    }

    fn bob(&self) -> Papers {
        self.authorities.clients.client_with("x", &["bob.example"], &[])
    }

    fn list(&mut self, channel: Channel) -> Result<usize, Status> {
        self.world.over(channel);
        let mut sandboxes = self.world.sandboxes();
        let list = sandboxes.list_sandboxes(proto::ListSandboxesRequest::default());
        self.world.block(list).map(|answer| answer.into_inner().sandboxes.len())
    }

    /// The status and body that a request over JSON is answered.
    fn rest(&self, papers: &Papers, method: &str, path: &str) -> (u16, String) {
        self.answer_of(&self.world.rest, papers, method, path, "")
    }
}

/// Whether there was no answer, rather than one that says no.
fn is_of_the_connection(told: &Status) -> bool {
    std::error::Error::source(told).is_some_and(|source| source.is::<enclos_proto::tonic::transport::Error>())
}

#[test]
fn who_shows_no_certificate_or_a_wrong_one_is_told_nothing() {
    let mut asking = Asking::new();
    let (clients, others) = (&asking.authorities.clients, &asking.authorities.others);
    let wrong = [None, Some(others.client("ann")), Some(clients.expired_client("ann")), Some(clients.early_client("ann"))];
    for papers in wrong {
        let channel = asking.channel(papers.as_ref());
        let told = asking.list(channel).unwrap_err();
        assert!(is_of_the_connection(&told), "{told:?}");
    }
    let channel = asking.channel(Some(&asking.ann()));
    assert_eq!(asking.list(channel).unwrap(), 0);
}

#[test]
fn who_shows_a_certificate_that_nobody_is_known_by_is_unauthenticated() {
    let mut asking = Asking::new();
    let stranger = asking.authorities.clients.client("carl");
    let channel = asking.channel(Some(&stranger));
    let told = asking.list(channel).unwrap_err();
    assert_eq!(told.code(), Code::Unauthenticated);
    let why = format!("nobody is known here by the certificate of this connection ({})", stranger.mark);
    assert!(told.message().starts_with(&why), "{told:?}");
    let (status, body) = asking.rest(&stranger, "GET", "/v1/sandboxes");
    assert!(status == 401 && body.contains(&why), "{status} {body}");
}

#[test]
fn what_belongs_to_another_certificate_does_not_exist() {
    let mut asking = Asking::new();
    let (ann, bob) = (asking.ann(), asking.bob());
    let id = asking.as_who(&ann).sandbox();
    assert_eq!(asking.world.exec(&id, "echo hi").unwrap().into_inner().stdout, "hi\n");
    let world = asking.as_who(&bob);
    let not_found = |told: Status| assert_eq!(told.code(), Code::NotFound, "{told:?}");
    let sandbox_id = || id.clone();
    not_found(world.block(world.sandboxes().get_sandbox(proto::GetSandboxRequest { sandbox_id: sandbox_id() })).unwrap_err());
    not_found(world.block(world.sandboxes().stop_sandbox(proto::StopSandboxRequest { sandbox_id: sandbox_id() })).unwrap_err());
    not_found(world.block(world.sandboxes().destroy_sandbox(proto::DestroySandboxRequest { sandbox_id: sandbox_id() })).unwrap_err());
    not_found(world.exec(&id, "echo hi").unwrap_err());
    let channel = asking.channel(Some(&bob));
    assert_eq!(asking.list(channel).unwrap(), 0);
    for (method, path) in
        [("GET", format!("/v1/sandboxes/{id}")), ("DELETE", format!("/v1/sandboxes/{id}")), ("POST", format!("/v1/sandboxes/{id}/stop"))]
    {
        assert_eq!(asking.rest(&bob, method, &path).0, 404, "{method} {path}");
    }
    assert_eq!(asking.rest(&ann, "GET", &format!("/v1/sandboxes/{id}")).0, 200);
    let channel = asking.channel(Some(&ann));
    assert_eq!(asking.list(channel).unwrap(), 1);
}

#[test]
fn a_certificate_has_the_quota_of_its_key() {
    let mut asking = Asking::new();
    let ann = asking.ann();
    let id = asking.as_who(&ann).sandbox();
    let world = &asking.world;
    let waiting = [0; 2].map(|_| world.block(world.sandboxes().exec_stream(command_of(&id, "wait"))).unwrap());
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 2, "both wait");
    let list = || world.block(world.sandboxes().list_sandboxes(proto::ListSandboxesRequest::default()));
    assert_eq!(list().unwrap_err().code(), Code::ResourceExhausted);
    drop(waiting);
    world.until(|_| list().is_ok(), "there is room again");
}

#[test]
fn much_goes_in_and_comes_out_over_tls() {
    let mut asking = Asking::new();
    let ann = asking.ann();
    let world = asking.as_who(&ann);
    let codebase_id = world.codebase();
    let content: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut chunks = vec![metadata(&codebase_id, "big", content.len() as i64)];
    chunks.extend(content.chunks(64 << 10).map(data));
    upload(world, chunks).unwrap();
    let came = download(world, &codebase_id, "big").unwrap().concat();
    assert!(came == content, "{} of {} bytes", came.len(), content.len());
}

#[test]
fn grpc_without_tls_is_refused_where_tls_is_spoken() {
    let mut asking = Asking::new();
    let plain = {
        let _entered = asking.world.runtime.enter();
        Endpoint::from_shared(format!("http://{}", asking.world.grpc)).unwrap().connect_lazy()
    };
    let told = asking.list(plain).unwrap_err();
    assert!(is_of_the_connection(&told), "{told:?}");
    let channel = asking.channel(Some(&asking.ann()));
    assert_eq!(asking.list(channel).unwrap(), 0);
}
