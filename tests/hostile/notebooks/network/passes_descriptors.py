# /// variant
# title = "hands descriptors to the judge through the connection, and asks for the judge's"
# has = ["mul_adjoint"]
# spoils = ["mul_adjoint"]
# states = { mul_adjoint = ["malformed"] }
# ///
import array
import socket


honest = mul_adjoint


def mul_adjoint(node, dy):
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, 3)
    rights = array.array("i", [0, 1, 2, 3])
    link.sendmsg([b"x" * 28], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    return honest(node, dy)
