//! The client's role: scrapes, and counts bytes.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Scrapes `url` some times, one after the other, and prints the bytes of all answers.
pub(crate) async fn scrape(url: &str, scrapes: u32) -> Result<()> {
    let rest = url.strip_prefix("http://").context("an http:// address is needed")?;
    let (host, path) = rest.split_once('/').context("the address has no path")?;
    let mut total = 0u64;
    let mut buffer = vec![0; 256 * 1024];
    for _ in 0..scrapes {
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut first = true;
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            if std::mem::take(&mut first) && !buffer.starts_with(b"HTTP/1.1 200") {
                bail!("not answered with 200");
            }
            total += count as u64;
        }
    }
    println!("{total}");
    Ok(())
}
