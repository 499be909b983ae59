// What users of AWS' SDK for JavaScript do. Run as `sdk_js.cjs CASE`; see support.py for the variables.

const assert = require("node:assert");
const crypto = require("node:crypto");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const { S3_URL: URL_, S3_BUCKET: Bucket, S3_REGION: region, S3_ACCESS_KEY: accessKeyId, S3_SECRET_KEY: secretAccessKey } = process.env;

function connect(more = {}) {
  return new s3.S3Client({
    endpoint: URL_, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1, ...more,
  });
}

async function bytes(answer) {
  return Buffer.from(await answer.Body.transformToByteArray());
}

async function case_uploads_of_streams_come_back_whole() {
  const c = connect();
  await c.send(new s3.CreateBucketCommand({ Bucket }));
  const data = crypto.randomBytes(17_000_000);
  const pieces = [];
  for (let at = 0; at < data.length; at += 700_001) pieces.push(data.subarray(at, at + 700_001));
  const upload = new Upload({
    client: c, queueSize: 4, partSize: 5 << 20,
    params: { Bucket, Key: "a b+ü", Body: Readable.from(pieces), ContentType: "text/plain", Metadata: { colour: "green" } },
  });
  await upload.done();
  const got = await c.send(new s3.GetObjectCommand({ Bucket, Key: "a b+ü", ChecksumMode: "ENABLED" }));
  assert.deepEqual(await bytes(got), data);
  assert.equal(got.Metadata.colour, "green");
  const part = await c.send(new s3.GetObjectCommand({ Bucket, Key: "a b+ü", Range: "bytes=-10" }));
  assert.deepEqual(await bytes(part), data.subarray(-10));
  // A stream whose length is known is signed and summed up on its way.
  for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
    const Body = Readable.from([data.subarray(0, 100_000), data.subarray(100_000, 300_000)]);
    await c.send(new s3.PutObjectCommand({ Bucket, Key: "summed", Body, ContentLength: 300_000, ChecksumAlgorithm }));
    const answer = await c.send(new s3.GetObjectCommand({ Bucket, Key: "summed", ChecksumMode: "ENABLED" }));
    assert.deepEqual(await bytes(answer), data.subarray(0, 300_000));
  }
  await new Upload({ client: c, params: { Bucket, Key: "empty", Body: "" } }).done();
  assert.equal((await c.send(new s3.HeadObjectCommand({ Bucket, Key: "empty" }))).ContentLength, 0);
  const broken = new Upload({ client: c, partSize: 5 << 20, params: { Bucket, Key: "broken", Body: Readable.from(pieces) } });
  setTimeout(() => broken.abort(), 1);
  await assert.rejects(broken.done());
}

async function case_listings_conditions_and_deletions() {
  const c = connect();
  await c.send(new s3.CreateBucketCommand({ Bucket }));
  const keys = ["a", "b/1", "b/ü +&", "c d"];
  for (const Key of keys) await c.send(new s3.PutObjectCommand({ Bucket, Key, Body: Key }));
  const seen = [];
  for await (const page of s3.paginateListObjectsV2({ client: c, pageSize: 1 }, { Bucket })) seen.push(...page.Contents.map((o) => o.Key));
  assert.deepEqual(seen, keys);
  await assert.rejects(c.send(new s3.PutObjectCommand({ Bucket, Key: "a", Body: "x", IfNoneMatch: "*" })), { name: "PreconditionFailed" });
  await assert.rejects(c.send(new s3.GetObjectCommand({ Bucket, Key: "none" })), s3.NoSuchKey);
  await assert.rejects(c.send(new s3.HeadObjectCommand({ Bucket, Key: "none" })), s3.NotFound);
  // In the first region of all, a bucket of one's own can be made again.
  await c.send(new s3.CreateBucketCommand({ Bucket }));
  await c.send(new s3.CopyObjectCommand({ Bucket, Key: "copy", CopySource: encodeURIComponent(`${Bucket}/b/ü +&`) }));
  const deleted = await c.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: [...keys, "copy"].map((Key) => ({ Key })) } }));
  assert.equal(deleted.Deleted.length, 5);
  await c.send(new s3.DeleteBucketCommand({ Bucket }));
  await s3.waitUntilBucketNotExists({ client: c, maxWaitTime: 60 }, { Bucket });
}

async function case_presigned_urls_and_forms() {
  const c = connect();
  await c.send(new s3.CreateBucketCommand({ Bucket }));
  const put = await getSignedUrl(c, new s3.PutObjectCommand({ Bucket, Key: "a b" }), { expiresIn: 60 });
  assert.equal((await fetch(put, { method: "PUT", body: "shared" })).status, 200);
  const get = await getSignedUrl(c, new s3.GetObjectCommand({ Bucket, Key: "a b" }), { expiresIn: 60 });
  assert.equal(await (await fetch(get)).text(), "shared");
  const { url, fields } = await createPresignedPost(c, {
    Bucket, Key: "up/${filename}", Conditions: [["content-length-range", 0, 100], ["starts-with", "$key", "up/"]], Expires: 60,
  });
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", new Blob(["posted"], { type: "text/plain" }), "a file ä.txt");
  const answer = await fetch(url, { method: "POST", body: form });
  assert.equal(answer.status, 204, await answer.text());
  const got = await c.send(new s3.GetObjectCommand({ Bucket, Key: "up/a file ä.txt" }));
  assert.equal((await bytes(got)).toString(), "posted");
}

const cases = { case_uploads_of_streams_come_back_whole, case_listings_conditions_and_deletions, case_presigned_urls_and_forms };
cases[`case_${process.argv[2]}`]().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
