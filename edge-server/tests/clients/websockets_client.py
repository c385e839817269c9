"""Python's websockets against an edge server: python websockets_client.py HOST:PORT FRAMES"""

import asyncio
import json
import pathlib
import sys

import websockets

address, frames = sys.argv[1], pathlib.Path(sys.argv[2])
URL = f"ws://{address}/v1/stream"
hello = json.loads((frames / "hello.json").read_text())


async def open_session():
    socket = await websockets.connect(URL, subprotocols=["aecnn.v1"])
    await socket.send(json.dumps(hello["hello"]))
    welcome = json.loads(await socket.recv())
    assert welcome["type"] == "welcome", welcome
    codec = next(c["id"] for c in welcome["codecs"] if c["digest"] == hello["hello"]["codec"])
    return socket, codec


async def main():
    socket, codec = await open_session()
    for index, picture in enumerate(hello["pictures"]):
        frame = bytearray((frames / f"{index}.frame").read_bytes())
        frame[2] = codec
        frame[4:8] = index.to_bytes(4, "little")
        await socket.send(bytes(frame))
        answer = json.loads(await socket.recv())
        assert (answer["type"], answer["sequence"]) == ("result", index), answer
        if "balloon" in picture:
            assert answer["top"][0]["label"] == "balloon", answer
    await socket.close()
    assert socket.close_code == 1000, socket.close_code

    # A frame that is none: an error by name, then the close that the protocol names.
    socket, _ = await open_session()
    await socket.send(b"no frame")
    error = json.loads(await socket.recv())
    assert (error["code"], error["fatal"]) == ("bad_frame", True), error
    try:
        await socket.recv()
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd.code == 4002, closed
    print("websockets: right")


asyncio.run(main())
