//! The steps of S3.

use crate::{Agent, Got, same, text};
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::process::Command;
use std::time::Duration;

const ODD: &str = "a b+c=d&é//x.txt";
pub const SMALL: &[u8] = b"0123456789abcdef"; // 64 times

fn small_data() -> Vec<u8> {
    SMALL.repeat(64)
}

fn large() -> Vec<u8> {
    (0..11 << 20).map(|i| i as u8).collect()
}

fn digest(data: &[u8]) -> String {
    Sha256::digest(data)[..8].iter().map(|b| format!("{b:02x}")).collect()
}

pub async fn bucket(a: &Agent, c: &Client) -> Got {
    c.create_bucket().bucket(&a.name).send().await?;
    let list = c.list_buckets().send().await?;
    same(list.buckets().iter().any(|b| b.name() == Some(&a.name)), true)?;
    Ok(String::new())
}

async fn put(a: &Agent, c: &Client, key: &str, body: ByteStream) -> Result<(), Box<dyn Error>> {
    c.put_object().bucket(&a.name).key(key).body(body).send().await?;
    Ok(())
}

async fn read(a: &Agent, c: &Client, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let got = c.get_object().bucket(&a.name).key(key).send().await?;
    Ok(got.body.collect().await?.to_vec())
}

async fn keys(a: &Agent, c: &Client, prefix: &str) -> Got {
    let list = c.list_objects_v2().bucket(&a.name).prefix(prefix).send().await?;
    Ok(list.contents().iter().filter_map(|o| o.key()).collect::<Vec<_>>().join(","))
}

pub async fn small(a: &Agent, c: &Client) -> Got {
    let put = c.put_object().bucket(&a.name).key("small").body(small_data().into());
    put.content_type("text/x-grid").metadata("who", "grid").send().await?;
    same(read(a, c, "small").await?, small_data())?;
    let head = c.head_object().bucket(&a.name).key("small").send().await?;
    let who = head.metadata().and_then(|m| m.get("who")).map(String::as_str);
    same((head.content_length(), head.content_type(), who), (Some(1024), Some("text/x-grid"), Some("grid")))?;
    same(keys(a, c, "").await?.as_str(), "small")?;
    text(head.e_tag())
}

pub async fn odd(a: &Agent, c: &Client) -> Got {
    put(a, c, ODD, small_data().into()).await?;
    same(read(a, c, ODD).await?, small_data())?;
    keys(a, c, "a b+").await
}

pub async fn multipart(a: &Agent, c: &Client) -> Got {
    let begun = c.create_multipart_upload().bucket(&a.name).key("large").send().await?;
    let id = text(begun.upload_id())?;
    let mut done = CompletedMultipartUpload::builder();
    for (i, data) in large().chunks(5 << 20).enumerate() {
        let upload = c.upload_part().bucket(&a.name).key("large").upload_id(&id).part_number(i as i32 + 1);
        let part = upload.body(data.to_vec().into()).send().await?;
        done = done.parts(CompletedPart::builder().part_number(i as i32 + 1).e_tag(text(part.e_tag())?).build());
    }
    let complete = c.complete_multipart_upload().bucket(&a.name).key("large").upload_id(&id);
    let whole = complete.multipart_upload(done.build()).send().await?;
    Ok(format!("{} {}", text(whole.e_tag())?, digest(&read(a, c, "large").await?)))
}

/// Uploads a file, which the SDK reads as it sends.
pub async fn streamed(a: &Agent, c: &Client) -> Got {
    let path = std::env::temp_dir().join(&a.name);
    std::fs::write(&path, &large()[..6 << 20])?;
    put(a, c, "stream", ByteStream::from_path(&path).await?).await?;
    Ok(digest(&read(a, c, "stream").await?))
}

fn minutes() -> Result<PresigningConfig, Box<dyn Error>> {
    Ok(PresigningConfig::expires_in(Duration::from_secs(300))?)
}

pub async fn presigned_get(a: &Agent, c: &Client) -> Got {
    let link = c.get_object().bucket(&a.name).key("small").presigned(minutes()?).await?;
    same(follow(&link, &[])?, small_data())?;
    Ok(String::new())
}

pub async fn presigned_put(a: &Agent, c: &Client) -> Got {
    let link = c.put_object().bucket(&a.name).key("put").presigned(minutes()?).await?;
    let path = std::env::temp_dir().join("put");
    std::fs::write(&path, small_data())?;
    follow(&link, &["--upload-file", path.to_str().ok_or("no path")?])?;
    same(read(a, c, "put").await?, small_data())?;
    Ok(String::new())
}

/// Calls a link without any SDK.
fn follow(link: &PresignedRequest, args: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let out = Command::new("curl").args(["--silent", "--show-error", "--fail-with-body", link.uri()]).args(args).output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&[out.stderr, out.stdout].concat()).into());
    }
    Ok(out.stdout)
}

pub async fn batch_delete(a: &Agent, c: &Client) -> Got {
    let mut delete = Delete::builder();
    for key in ["small", ODD, "large", "put"] {
        delete = delete.objects(ObjectIdentifier::builder().key(key).build()?);
    }
    let gone = c.delete_objects().bucket(&a.name).delete(delete.build()?).send().await?;
    same(gone.deleted().len(), 4)?;
    keys(a, c, "").await
}
