// Package web drives the web pages in a real browser, headless Chromium, while
// the router does its work between real kernels (tests/netns): somebody logs in,
// looks at every page on a telephone and on a desk, and watches a gate open and
// close while recorded clients negotiate through it.
//
// What it sees is kept as pictures in bin/web-pages. The browser is in no
// namespace: a connection to the forwarder comes out in the router's.
package web
