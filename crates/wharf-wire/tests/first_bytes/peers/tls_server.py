"""For each line of hexadecimal: the server name that OpenSSL reads in it, as a server. `-` for a hello without, `!` for none."""

import binascii
import ssl
import sys
import warnings

warnings.simplefilter("ignore")


def seen(bytes_):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.sni_callback = lambda _, name, __: names.append(name)
    to_server, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    to_server.write(bytes_)
    try:
        context.wrap_bio(to_server, from_server, server_side=True).do_handshake()
    except ssl.SSLError:
        pass
    return ascii(names[0] or "-").strip("'") if names else "!"


for line in sys.stdin:
    print(seen(binascii.unhexlify(line.strip())))
