// The package's entry. `cargo xtask package` puts `web/worker` and `web/pkg` beside it.

export { Device, DownloadError, fetchManifest, shannonKbps } from './worker/api.js';
