//! Files of codebases over gRPC.

use std::sync::atomic::Ordering;
use std::time::Duration;

use enclos_host::bytes::Bytes;
use enclos_host::tokio::sync::mpsc;
use enclos_proto::sandbox_v1 as proto;
use enclos_proto::sandbox_v1::upload_chunk::{Content, Metadata};
use enclos_proto::tonic::codegen::tokio_stream;
use enclos_proto::tonic::{Code, Status};

use super::world::World;

pub fn metadata(codebase: &str, path: &str, total_size: i64) -> proto::UploadChunk {
    let metadata = Metadata { codebase_id: codebase.to_owned(), file_path: path.to_owned(), total_size };
    proto::UploadChunk { content: Some(Content::Metadata(metadata)) }
}

pub fn data(bytes: &[u8]) -> proto::UploadChunk {
    proto::UploadChunk { content: Some(Content::Data(Bytes::copy_from_slice(bytes))) }
}

pub fn upload(world: &World, chunks: Vec<proto::UploadChunk>) -> Result<proto::UploadResult, Status> {
    world.block(world.codebases().upload_files(tokio_stream::iter(chunks))).map(enclos_proto::tonic::Response::into_inner)
}

pub fn download(world: &World, codebase: &str, path: &str) -> Result<Vec<Vec<u8>>, Status> {
    world.block(async {
        let request = proto::DownloadFileRequest { codebase_id: codebase.to_owned(), file_path: path.to_owned() };
        let mut stream = world.codebases().download_file(request).await?.into_inner();
        let mut pieces = Vec::new();
        while let Some(piece) = stream.message().await? {
            pieces.push(piece.data.to_vec());
        }
        Ok(pieces)
    })
}

#[test]
fn a_file_goes_in_and_comes_out_in_pieces() {
    let world = World::new();
    let codebase = world.codebase();
    let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let mut chunks = vec![metadata(&codebase, "/a/b.bin", bytes.len() as i64)];
    chunks.extend(bytes.chunks(100_000).map(data));
    let uploaded = upload(&world, chunks).unwrap();
    assert_eq!((uploaded.file_path.as_str(), uploaded.size, uploaded.checksum.as_str()), ("a/b.bin", 800_000, "m"));
    let pieces = download(&world, &codebase, "a/b.bin").unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 64 << 10) && pieces.len() == 13);
    assert_eq!(pieces.concat(), bytes);
    assert_eq!(upload(&world, vec![metadata(&codebase, "empty", 0)]).unwrap().size, 0);
    assert_eq!(download(&world, &codebase, "empty").unwrap(), Vec::<Vec<u8>>::new());
    let seen = world.block(world.codebases().get_codebase(proto::GetCodebaseRequest { codebase_id: codebase })).unwrap().into_inner();
    assert_eq!((seen.size, seen.file_count), (800_000, 2));
}

#[test]
fn an_upload_says_first_and_once_what_it_is() {
    let world = World::new();
    let codebase = world.codebase();
    let first = || metadata(&codebase, "f", 0);
    for (chunks, code, start) in [
        (vec![], Code::InvalidArgument, "metadata: the first"),
        (vec![data(b"x")], Code::InvalidArgument, "metadata: the first"),
        (vec![first(), data(b"x"), first()], Code::InvalidArgument, "metadata: it must come once"),
        (vec![first(), proto::UploadChunk { content: None }], Code::InvalidArgument, "data: "),
        (vec![metadata(&codebase, "", 0)], Code::InvalidArgument, "file_path is required"),
        (vec![metadata(&codebase, "a/../../b", 0), data(b"x")], Code::InvalidArgument, "file_path: "),
        (vec![metadata(&codebase, "f", -1)], Code::InvalidArgument, "total_size: -1"),
        (vec![metadata(&codebase, "f", 5), data(b"four")], Code::InvalidArgument, "total_size: "),
        (vec![metadata("../files/x", "f", 0)], Code::InvalidArgument, "codebase_id: "),
        (vec![metadata("cb_ffffffffffffffff", "f", 0), data(b"x")], Code::NotFound, ""),
    ] {
        let status = upload(&world, chunks).unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().starts_with(start), "{status:?}");
        assert_eq!(download(&world, &codebase, "f").unwrap_err().code(), Code::NotFound, "nothing was stored");
    }
}

#[test]
fn an_upload_that_breaks_off_stores_nothing() {
    let world = World::new();
    let codebase = world.codebase();
    let (sender, receiver) = mpsc::channel(4);
    let first = [metadata(&codebase, "f", 0), data(b"half")];
    world.block(async {
        for chunk in first {
            sender.send(chunk).await.unwrap();
        }
    });
    let mut client = world.codebases();
    let call = world.runtime.spawn(async move { client.upload_files(Chunks(receiver)).await });
    world.until(|_| sender.capacity() == 4, "the server has both");
    std::thread::sleep(Duration::from_millis(50));
    call.abort();
    world.until(|agent| agent.broken.load(Ordering::SeqCst) == 1, "the upload broke off");
    assert_eq!(download(&world, &codebase, "f").unwrap_err().code(), Code::NotFound);
}

#[test]
fn an_upload_that_does_not_go_on_is_given_up() {
    let world = World::waiting("", Duration::from_millis(100));
    let codebase = world.codebase();
    let (sender, receiver) = mpsc::channel(4);
    world.block(sender.send(metadata(&codebase, "f", 0))).unwrap();
    let status = world.block(world.codebases().upload_files(Chunks(receiver))).unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    drop(sender);
}

/// Chunks as a test sends them.
struct Chunks(mpsc::Receiver<proto::UploadChunk>);

impl tokio_stream::Stream for Chunks {
    type Item = proto::UploadChunk;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<proto::UploadChunk>> {
        self.0.poll_recv(context)
    }
}

#[test]
fn directories_are_listed_whole() {
    let world = World::new();
    let codebase = world.codebase();
    for path in ["a.txt", "d/b.txt", "d/e/c.txt"] {
        upload(&world, vec![metadata(&codebase, path, 0), data(b"abc")]).unwrap();
    }
    let list = |path: &str, recursive| {
        let request = proto::ListFilesRequest { codebase_id: codebase.clone(), path: path.to_owned(), recursive };
        let files = world.block(world.codebases().list_files(request))?.into_inner().files;
        Ok::<_, Status>(files.into_iter().map(|file| (file.path, file.is_dir)).collect::<Vec<_>>())
    };
    let owned = |files: &[(&str, bool)]| files.iter().map(|(path, is_dir)| ((*path).to_owned(), *is_dir)).collect::<Vec<_>>();
    assert_eq!(list("", false).unwrap(), owned(&[("a.txt", false), ("d", true)]));
    assert_eq!(list("/", true).unwrap(), owned(&[("a.txt", false), ("d/b.txt", false), ("d/e/c.txt", false)]));
    assert_eq!(list("/d/", false).unwrap(), owned(&[("d/b.txt", false), ("d/e", true)]));
    assert_eq!(list("none", false).unwrap(), owned(&[]));
    assert_eq!(list("none", true).unwrap_err().code(), Code::NotFound);
    // More than a page of the core.
    for number in 0..1100 {
        upload(&world, vec![metadata(&codebase, &format!("many/{number}"), 0)]).unwrap();
    }
    assert_eq!(list("many", false).unwrap().len(), 1100);
}
