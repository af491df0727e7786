/* CRIU's image of one end: images/tcp-stream.proto after the magic numbers, then the bytes of the two queues. */
#include "connections.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* criu/include/magic.h: IMG_COMMON_MAGIC and TCP_STREAM_MAGIC. */
static const uint32_t magic[] = { 0x54564319, 0x51465506 };

struct message {
	uint8_t bytes[256];
	uint32_t length;
};

static void put_varint(struct message *message, uint32_t value)
{
	for (; value >= 0x80; value >>= 7)
		message->bytes[message->length++] = (uint8_t)(value | 0x80);
	message->bytes[message->length++] = (uint8_t)value;
}

static void put(struct message *message, uint32_t field, uint32_t value)
{
	put_varint(message, field << 3);
	put_varint(message, value);
}

static void encode(struct message *message, const struct stream *stream)
{
	bool has_scale = stream->options & TCPI_OPT_WSCALE;
	put(message, 1, stream->in_length);
	put(message, 2, stream->received);
	put(message, 3, stream->out_length);
	put(message, 4, stream->written);
	put(message, 5, stream->options);
	put(message, 6, has_scale ? stream->send_scale : 0);
	put(message, 7, stream->mss);
	if (has_scale)
		put(message, 8, stream->receive_scale);
	if (stream->options & TCPI_OPT_TIMESTAMPS)
		put(message, 9, stream->timestamp);
	put(message, 12, stream->out_length);
	put(message, 13, stream->window.snd_wl1);
	put(message, 14, stream->window.snd_wnd);
	put(message, 15, stream->window.max_window);
	put(message, 16, stream->window.rcv_wnd);
	put(message, 17, stream->window.rcv_wup);
}

static bool write_all(int file, const void *bytes, size_t length)
{
	for (const char *at = bytes; length > 0;) {
		ssize_t written = write(file, at, length);
		if (written < 0 && errno != EINTR)
			return false;
		at += written > 0 ? written : 0;
		length -= written > 0 ? (size_t)written : 0;
	}
	return true;
}

bool write_stream(const char *folder, uint32_t inode, const struct stream *stream)
{
	char path[4096];
	struct message message = { .length = 0 };
	if ((size_t)snprintf(path, sizeof path, "%s/tcp-stream-%x.img", folder, inode) >= sizeof path) {
		errno = ENAMETOOLONG;
		return false;
	}
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return false;
	encode(&message, stream);
	bool is_written = write_all(file, magic, sizeof magic) &&
			  write_all(file, &message.length, sizeof message.length) &&
			  write_all(file, message.bytes, message.length) &&
			  write_all(file, stream->in, stream->in_length) &&
			  write_all(file, stream->out, stream->out_length);
	int error = errno;
	if (close(file) != 0 && is_written) {
		is_written = false;
		error = errno;
	}
	if (!is_written)
		unlink(path);
	errno = error;
	return is_written;
}
