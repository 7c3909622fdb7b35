// Package debian gets kernels, debug symbols and systems out of Debian's archive
// with the machine's own apt, into a cache outside the source tree.
//
// It owns the cache's folders dl (packages as downloaded), kernels (unpacked) and
// roots (small systems). It installs nothing, never changes apt's configuration
// and knows no server by name: where packages come from is what the machine's apt
// says, and what they must hash to is what apt's signed lists say.
//
// Facts come from apt-get(8), apt-cache(8), dpkg-deb(1), deb-control(5),
// debootstrap(8) and the Debian kernel packages themselves.
package debian
