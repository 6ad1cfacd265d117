//! What every gRPC server has besides its own services: reflection (v1 and v1alpha) and health.

use std::pin::Pin;
use std::task::{Context, Poll};

use enclos_host::axum::Router;
use enclos_host::stop::Stop;
use futures_core::Stream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::server::Builder;

/// Reflection of these services, whose files `descriptors` describe. It tells the interface to whoever may call it.
///
/// # Errors
/// Descriptors that contradict each other: a fault of the program.
pub fn reflection(routes: Routes, names: &[&str], descriptors: &[&'static [u8]]) -> Result<Routes, tonic_reflection::server::Error> {
    let configure = || {
        let builder = Builder::configure().register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let builder = descriptors.iter().fold(builder, |builder, set| builder.register_encoded_file_descriptor_set(set));
        names.iter().chain(&[HEALTH]).fold(builder, |builder, name| builder.with_service_name(*name))
    };
    Ok(routes.add_service(configure().build_v1()?).add_service(configure().build_v1alpha()?))
}

const HEALTH: &str = "grpc.health.v1.Health";

/// The health of these services (`grpc.health.v1.Health`): they serve until the server is to end.
pub fn health(names: &'static [&'static str], stop: Stop) -> Router {
    Routes::new(HealthServer::new(Serving { names, stop })).into_axum_router().fallback(unknown)
}

/// The answer to a method that nobody has.
pub async fn unknown() -> enclos_host::axum::http::Response<tonic::body::Body> {
    Status::unimplemented("no such method").into_http()
}

struct Serving {
    names: &'static [&'static str],
    stop: Stop,
}

impl Serving {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || service == HEALTH || self.names.contains(&service)
    }

    fn status(&self) -> HealthCheckResponse {
        let status = if self.stop.is_asked() { ServingStatus::NotServing } else { ServingStatus::Serving };
        HealthCheckResponse { status: status.into() }
    }
}

#[tonic::async_trait]
impl Health for Serving {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !self.knows(&service) {
            return Err(Status::not_found(format!("service {service:?} is not known")));
        }
        Ok(Response::new(self.status()))
    }

    type WatchStream = Watching;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Watching>, Status> {
        let stop = self.stop.clone();
        let known = self.knows(&request.into_inner().service);
        let first = if known { self.status() } else { HealthCheckResponse { status: ServingStatus::ServiceUnknown.into() } };
        let last: Option<Asked> = if stop.is_asked() { None } else { Some(Box::pin(async move { stop.asked().await })) };
        Ok(Response::new(Watching { first: Some(first), last, known }))
    }
}

type Asked = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells how things stand, then that the server ends, and ends: a watch that went on would hold the server up.
pub struct Watching {
    first: Option<HealthCheckResponse>,
    last: Option<Asked>,
    known: bool,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Stream for Watching {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(last) = &mut self.last else { return Poll::Ready(None) };
        if last.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.last = None;
        let ended = HealthCheckResponse { status: ServingStatus::NotServing.into() };
        Poll::Ready(self.known.then_some(Ok(ended)))
    }
}
