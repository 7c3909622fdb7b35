package nbd

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// The protocol's numbers, as doc/proto.md names them.
const (
	nbdMagic       = 0x4e42444d41474943
	optMagic       = 0x49484156454f5054
	optReplyMagic  = 0x3e889045565a9
	requestMagic   = 0x25609513
	replyMagic     = 0x67446698
	flagNewstyle   = 1 << 0
	flagNoZeroes   = 1 << 1
	optExportName  = 1
	optAbort       = 2
	optInfo        = 6
	optGo          = 7
	repAck         = 1
	repInfo        = 3
	repUnsupported = 1<<31 | 1
	infoExport     = 0
	hasFlags       = 1 << 0
	sendFlush      = 1 << 2
	sendFUA        = 1 << 3
	cmdRead        = 0
	cmdWrite       = 1
	cmdDisconnect  = 2
	cmdFlush       = 3
	cmdFUA         = 1 << 0

	maxOption  = 64 << 10
	maxRequest = 64 << 20
)

// Serve answers the connections that l accepts, each in turn, until l is closed.
func Serve(l net.Listener, d *Disk) error {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("nbd: %w", err)
		}
		// A client that goes away is no error of ours: machines are killed here.
		_ = serve(c, d)
		c.Close()
	}
}

func serve(c net.Conn, d *Disk) error {
	r := bufio.NewReaderSize(c, 1<<16)
	if err := send(c, uint64(nbdMagic), uint64(optMagic), uint16(flagNewstyle|flagNoZeroes)); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(r, binary.BigEndian, &flags); err != nil {
		return err
	}
	if err := negotiate(c, r, d, flags&flagNoZeroes != 0); err != nil {
		return err
	}
	for {
		if err := request(c, r, d); err != nil {
			return err
		}
	}
}

// negotiate answers options until the client goes over to the transmission.
func negotiate(c io.Writer, r io.Reader, d *Disk, noZeroes bool) error {
	const transmission = uint16(hasFlags | sendFlush | sendFUA)
	for {
		var h struct {
			Magic       uint64
			Option, Len uint32
		}
		if err := binary.Read(r, binary.BigEndian, &h); err != nil {
			return err
		}
		if h.Magic != optMagic || h.Len > maxOption {
			return fmt.Errorf("nbd: option %d of %d bytes, magic %#x", h.Option, h.Len, h.Magic)
		}
		if _, err := io.CopyN(io.Discard, r, int64(h.Len)); err != nil {
			return err
		}
		var err error
		switch h.Option {
		case optExportName:
			if err := send(c, uint64(d.size), transmission); err != nil || noZeroes {
				return err
			}
			return send(c, [124]byte{})
		case optGo, optInfo:
			err = send(c, uint64(optReplyMagic), h.Option, uint32(repInfo), uint32(12), uint16(infoExport), uint64(d.size), transmission,
				uint64(optReplyMagic), h.Option, uint32(repAck), uint32(0))
			if h.Option == optGo {
				return err
			}
		case optAbort:
			_ = send(c, uint64(optReplyMagic), h.Option, uint32(repAck), uint32(0))
			return io.EOF
		default:
			err = send(c, uint64(optReplyMagic), h.Option, uint32(repUnsupported), uint32(0))
		}
		if err != nil {
			return err
		}
	}
}

// request answers one.
func request(c io.Writer, r io.Reader, d *Disk) error {
	var h struct {
		Magic       uint32
		Flags, Type uint16
		Cookie      uint64
		Offset      uint64
		Length      uint32
	}
	if err := binary.Read(r, binary.BigEndian, &h); err != nil {
		return err
	}
	if h.Magic != requestMagic || h.Length > maxRequest {
		return fmt.Errorf("nbd: request of %d bytes, magic %#x", h.Length, h.Magic)
	}
	var data []byte
	var err error
	switch h.Type {
	case cmdRead:
		data = make([]byte, h.Length)
		err = d.read(data, int64(h.Offset))
	case cmdWrite:
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		if err = d.write(p, int64(h.Offset)); err == nil && h.Flags&cmdFUA != 0 {
			err = d.flush()
		}
	case cmdFlush:
		err = d.flush()
	case cmdDisconnect:
		return io.EOF
	default:
		err = syscall.EINVAL
	}
	var code uint32
	if err != nil {
		errno := syscall.EIO
		errors.As(err, &errno)
		code, data = uint32(errno), nil
	}
	return send(c, uint32(replyMagic), code, h.Cookie, data)
}

func send(w io.Writer, parts ...any) error {
	var b []byte
	var err error
	for _, p := range parts {
		if b, err = binary.Append(b, binary.BigEndian, p); err != nil {
			return err
		}
	}
	_, err = w.Write(b)
	return err
}
