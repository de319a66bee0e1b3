"""A token endpoint that issues tokens of a fixed size for an hour, in a process of its own."""

import asyncio
import contextlib
import json
import multiprocessing
import os

TOKEN_BYTES = 800


async def answer(reader, writer, issued=[0]):
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((line[15:] for line in lines if line.startswith("content-length:")), "0")
        await reader.readexactly(int(length))
        issued[0] += 1
        token = f"token-{issued[0]:06d}-".ljust(TOKEN_BYTES, "x")
        body = json.dumps(
            {"access_token": token, "token_type": "Bearer", "expires_in": 36000, "scope": "a"}
        ).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await writer.drain()
    writer.close()


def serve(core, pipe):
    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    os.sched_setaffinity(0, {core})
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


@contextlib.contextmanager
def serving(core):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(core, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()
