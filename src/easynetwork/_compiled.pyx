# cython: language_level=3
"""Compiled shortcuts of the packet path, for the most common case only.

Each shortcut replaces a function of the library, which stays the reference and the way to do everything else: a
shortcut that meets anything unusual calls the function, or hands over to it what it has done.

The shortcuts read and write the slots of the library's classes by their offsets, as the descriptors of the slots do.
Every object is checked for its class before.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.string cimport memchr, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import types

cdef extern from *:
    """
    #include <structmember.h>

    /* Where the instances of a class keep the value of a slot, whose descriptor this is; -1 for other objects. */
    static Py_ssize_t slot_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
            PyErr_Format(PyExc_TypeError, "%R is not a slot", descriptor);
            return -1;
        }
        return ((PyMemberDescrObject *)descriptor)->d_member->offset;
    }

    /* Let instances of a class be called without a tuple of arguments, and as methods without a bound method. */
    static void call_by_vector(PyObject *type, Py_ssize_t offset) {
        ((PyTypeObject *)type)->tp_vectorcall_offset = offset;
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified((PyTypeObject *)type);
    }
    static void call_as_method(PyObject *type, Py_ssize_t offset) {
        call_by_vector(type, offset);
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_METHOD_DESCRIPTOR;
    }

    /* What has come of the step of an asynchronous generator. */
    enum outcome { FAILED = -1, YIELDED, SUSPENDED, RETURNED };

    /* Resume an asynchronous generator: take the first step of what asend() has returned. The result is what the
       generator yields, or what it yields to the event loop. */
    static enum outcome take_first_step(PyObject *awaitable, PyObject **result) {
        *result = NULL;
        switch (PyIter_Send(awaitable, Py_None, result)) {
        case PYGEN_RETURN:
            return YIELDED;
        case PYGEN_NEXT:
            return SUSPENDED;
        default:
            if (!PyErr_ExceptionMatches(PyExc_StopAsyncIteration))
                return FAILED;
            PyErr_Clear();
            return RETURNED;
        }
    }
    """
    ctypedef enum outcome "enum outcome":
        FAILED, YIELDED, SUSPENDED, RETURNED
    outcome take_first_step(object, PyObject **) except FAILED
    Py_ssize_t slot_offset(object) except -1
    void call_as_method(object, Py_ssize_t)
    void call_by_vector(object, Py_ssize_t)

cdef extern from *:
    const char *SOURCE_DIGEST  # a macro that hatch_build.py defines

cdef extern from "Python.h":
    ctypedef struct PyThreadState:
        PyObject *async_gen_firstiter
    PyThreadState *PyThreadState_Get()
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    object PyMethod_New(object, object)
    object PyUnicode_DecodeASCII(const char *, Py_ssize_t, const char *)
    object PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void *PyUnicode_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    object PyObject_CallOneArg(object, object)
    object PyObject_Vectorcall(object, PyObject **, size_t, PyObject *)
    bint PyObject_TypeCheck(object, PyTypeObject *)
    object PyVectorcall_Call(object, object, object)
    Py_ssize_t PyVectorcall_NARGS(size_t)
    void PyErr_WriteUnraisable(object)
    int PyErr_WarnEx(object, const char *, Py_ssize_t) except -1
    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject **, size_t, PyObject *)

source_digest = SOURCE_DIGEST.decode()


cdef inline PyObject *peek(object instance, Py_ssize_t offset) noexcept:
    return (<PyObject **>(<char *><PyObject *>instance + offset))[0]


cdef inline object get(object instance, Py_ssize_t offset):
    cdef PyObject *value = (<PyObject **>(<char *><PyObject *>instance + offset))[0]
    if value is NULL:
        raise AttributeError("The slot is empty")
    return <object>value


cdef inline void put(object instance, Py_ssize_t offset, object value) noexcept:
    cdef PyObject **slot = <PyObject **>(<char *><PyObject *>instance + offset)
    cdef PyObject *old = slot[0]
    Py_INCREF(value)
    slot[0] = <PyObject *>value
    Py_XDECREF(old)


# ---------------------------------------------------------------------------------------------------------- shortcuts


cdef class Shortcut:
    """A function of the library with a shortcut. All that does not concern calls is that of the function."""

    cdef vectorcallfunc vectorcall
    cdef object function

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else PyMethod_New(self, instance)

    def __getattr__(self, name):
        return getattr(self.function, name)

    def __repr__(self):
        return repr(self.function)

    @property
    def __wrapped__(self):
        return self.function

    @property
    def __doc__(self):
        return self.function.__doc__


cdef inline object call_function(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    return PyObject_Vectorcall(shortcut.function, args, nargsf, kwnames)


cdef Shortcut dummy = Shortcut(None)
call_as_method(Shortcut, <char *>&dummy.vectorcall - <char *><PyObject *>dummy)


# ------------------------------------------------------------------------------------------------------------ sending

cdef bint knows_senders = False
cdef Py_ssize_t sender_batch, sender_encode, batch_capacity, batch_parts
cdef object PacketSender, WriteBatch, encoding_crash


cdef int learn_senders() except -1:
    global knows_senders, PacketSender, WriteBatch, encoding_crash
    global sender_batch, sender_encode, batch_capacity, batch_parts
    from easynetwork.lowlevel._core.incoming_packets import encoding_crash
    from easynetwork.lowlevel.api_async._packet_streams import PacketSender
    from easynetwork.lowlevel.api_async.transports._hooks import WriteBatch
    sender_batch = slot_offset(PacketSender._batch)
    sender_encode = slot_offset(PacketSender._encode)
    batch_capacity = slot_offset(WriteBatch.capacity)
    batch_parts = slot_offset(WriteBatch.parts)
    knows_senders = True
    return 0


cdef enum:
    CREATED, STARTED, CLOSED


@cython.freelist(16)
cdef class SendPacket:
    """What `send_packet` returns. Like a coroutine, it does nothing before it is awaited, and can be awaited once."""

    cdef object function  # the coroutine function that this object replaces, and its arguments
    cdef object sender
    cdef object packet
    cdef object rest  # the coroutine that does all that this object does not
    cdef int state

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.state == CREATED:
            self.state = CLOSED
            data = send_now(self.sender, self.packet)
            if data is None:
                raise StopIteration
            self.state = STARTED
            self.rest = self.sender._send_slowly(data)
        return self.coroutine().send(None)

    def send(self, value):
        return next(self) if value is None else self.coroutine().send(value)

    def throw(self, *args):
        return self.coroutine().throw(*args)

    def close(self):
        if self.state == STARTED:
            self.rest.close()
        self.state = CLOSED

    cdef object coroutine(self):
        if self.state == CREATED:
            self.state = STARTED
            self.rest = self.function(self.sender, self.packet)
        elif self.state == CLOSED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return self.rest

    def __getattr__(self, name):  # __name__, __qualname__
        return getattr(self.function, name)

    def __repr__(self):
        return f"<coroutine object {self.function.__qualname__} at {id(self):#x}>"

    def __dealloc__(self):
        if self.state == CREATED:
            warn_never_awaited()


cdef int warn_never_awaited() noexcept:
    try:
        PyErr_WarnEx(RuntimeWarning, b"coroutine 'send_packet' was never awaited", 1)
    except BaseException as exc:
        PyErr_WriteUnraisable(None)
    return 0


cdef object send_now(object sender, object packet):
    """Do the part of `send_packet` that does not wait. Return the bytes left for ``_send_slowly``, or None."""
    cdef object data, batch
    cdef Py_ssize_t capacity
    try:
        data = PyObject_CallOneArg(get(sender, sender_encode), packet)
    except Exception as exc:
        raise encoding_crash(packet, exc) from exc
    batch = get(sender, sender_batch)
    capacity = get(batch, batch_capacity)
    capacity -= len(data)
    if capacity > 0:
        put(batch, batch_capacity, capacity)
        (<list>get(batch, batch_parts)).append(data)
    elif not batch.write_nowait(data):
        return data
    return None


cdef object send_packet(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef SendPacket call
    if kwnames is not NULL or PyVectorcall_NARGS(nargsf) != 2:
        return call_function(shortcut, args, nargsf, kwnames)
    if not knows_senders:
        learn_senders()
    if not PyObject_TypeCheck(<object>args[0], <PyTypeObject *>PacketSender):
        return call_function(shortcut, args, nargsf, kwnames)
    call = SendPacket.__new__(SendPacket)
    call.function, call.sender, call.packet = shortcut.function, <object>args[0], <object>args[1]
    return call




# ---------------------------------------------------------------------------------------------------- stream handlers

cdef bint knows_streams = False
cdef Py_ssize_t waiter_wakeup, waiter_loop, waiter_context, carrier_task, carrier_suspended, carrier_failure
cdef Py_ssize_t driver_dispatcher, driver_required, driver_stream, driver_next_generator, driver_requests
cdef Py_ssize_t dispatcher_decoder, dispatcher_has_changed, dispatcher_generator, dispatcher_is_stepped
cdef Py_ssize_t dispatcher_is_stopped
cdef Py_ssize_t decoder_received, decoder_decode, decoder_chunk
cdef Py_ssize_t decoder_separator, decoder_frames, decoder_tail, decoder_limit, decoder_has_large, decoder_sizes
cdef Py_ssize_t fixed_size, fixed_position, fixed_partial
cdef Py_ssize_t cut_format, cut_frames, cut_has_uncut, cut_partial, cut_dropping, cut_lost
cdef Py_ssize_t stream_writable, stream_transport
cdef object InlineDriver, StreamDispatcher, AsyncioStream
cdef object SeparatedDecoder, CauseReportingDecoder, FixedSizeDecoder, CutDecoder
cdef object BYTES, TURN, PARKED, HIGH_WATER, HandedOver, finished_step, failed_step, not_a_generator, resumed_step
cdef object _enter_task, _leave_task
cdef object asend = types.AsyncGeneratorType.asend
cdef object AsyncGenerator = types.AsyncGeneratorType
cdef object HAS_RETURNED = object()
cdef double TURN_TIME
cdef Py_ssize_t STEPS_PER_TURN


cdef int learn_streams() except -1:
    global knows_streams
    global waiter_wakeup, waiter_loop, waiter_context, carrier_task, carrier_suspended, carrier_failure
    global driver_dispatcher, driver_required, driver_stream, driver_next_generator, driver_requests
    global dispatcher_decoder, dispatcher_has_changed, dispatcher_generator, dispatcher_is_stepped
    global dispatcher_is_stopped
    global decoder_received, decoder_decode, decoder_chunk
    global decoder_separator, decoder_frames, decoder_tail, decoder_limit, decoder_has_large, decoder_sizes
    global stream_writable, stream_transport
    global InlineDriver, StreamDispatcher, AsyncioStream
    global SeparatedDecoder, CauseReportingDecoder, FixedSizeDecoder, CutDecoder
    global fixed_size, fixed_position, fixed_partial
    global cut_format, cut_frames, cut_has_uncut, cut_partial, cut_dropping, cut_lost
    global BYTES, TURN, PARKED, HIGH_WATER, HandedOver, finished_step, failed_step, not_a_generator, resumed_step
    global _enter_task, _leave_task, TURN_TIME, STEPS_PER_TURN
    from asyncio.tasks import _enter_task, _leave_task
    from easynetwork.lowlevel._core.handler_generators import (
        HandedOver, failed_step, finished_step, not_a_generator, resumed_step
    )
    from easynetwork.lowlevel._core.requirements import BYTES, STEPS_PER_TURN, TURN, TURN_TIME
    from easynetwork.lowlevel._core.stream_decoders.cut import CutDecoder
    from easynetwork.lowlevel._core.stream_decoders.fixed_size import FixedSizeDecoder
    from easynetwork.lowlevel._core.stream_decoders.frames import FrameDecoder
    from easynetwork.lowlevel._core.stream_decoders.separated import CauseReportingDecoder, SeparatedDecoder
    from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
    from easynetwork.lowlevel.api_async.backend._asyncio.stream.driver import InlineDriver
    from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
    from easynetwork.lowlevel.api_async.backend._asyncio.stream.watermarks import HIGH_WATER
    from easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable import PARKED
    learn_senders()
    waiter_wakeup = slot_offset(InlineDriver._wakeup)
    waiter_loop = slot_offset(InlineDriver._loop)
    waiter_context = slot_offset(InlineDriver._context)
    carrier_task = slot_offset(InlineDriver._task)
    carrier_suspended = slot_offset(InlineDriver._suspended)
    carrier_failure = slot_offset(InlineDriver._failure)
    driver_dispatcher = slot_offset(InlineDriver._dispatcher)
    driver_required = slot_offset(InlineDriver._required)
    driver_stream = slot_offset(InlineDriver._stream)
    driver_next_generator = slot_offset(InlineDriver._next_generator)
    driver_requests = slot_offset(InlineDriver.requests)
    dispatcher_decoder = slot_offset(StreamDispatcher._decoder)
    dispatcher_has_changed = slot_offset(StreamDispatcher._has_changed)
    dispatcher_generator = slot_offset(StreamDispatcher.generator)
    dispatcher_is_stepped = slot_offset(StreamDispatcher.is_stepped)
    dispatcher_is_stopped = slot_offset(StreamDispatcher.is_stopped)
    decoder_received = slot_offset(FrameDecoder._received)
    decoder_decode = slot_offset(FrameDecoder._decode_valid)
    decoder_chunk = slot_offset(FrameDecoder._chunk)
    decoder_separator = slot_offset(SeparatedDecoder._separator)
    decoder_frames = slot_offset(SeparatedDecoder._frames)
    decoder_tail = slot_offset(SeparatedDecoder._tail)
    decoder_limit = slot_offset(SeparatedDecoder._limit)
    decoder_has_large = slot_offset(SeparatedDecoder._has_large_frames)
    decoder_sizes = slot_offset(SeparatedDecoder._remaining_sizes)
    fixed_size = slot_offset(FixedSizeDecoder._size)
    fixed_position = slot_offset(FixedSizeDecoder._position)
    fixed_partial = slot_offset(FixedSizeDecoder._partial)
    cut_format = slot_offset(CutDecoder._format)
    cut_frames = slot_offset(CutDecoder._frames)
    cut_has_uncut = slot_offset(CutDecoder._has_uncut)
    cut_partial = slot_offset(CutDecoder._partial)
    cut_dropping = slot_offset(CutDecoder._dropping)
    cut_lost = slot_offset(CutDecoder._lost)
    stream_writable = slot_offset(AsyncioStream.writable)
    stream_transport = slot_offset(AsyncioStream.transport)
    knows_streams = True
    return 0


cdef object step(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object driver, received, dispatcher, decoder, stream, loop, task, context, yielded, state
    cdef list parts
    if kwnames is not NULL or PyVectorcall_NARGS(nargsf) != 2:
        return call_function(shortcut, args, nargsf, kwnames)
    if not knows_streams:
        learn_streams()
    driver, received = <object>args[0], <object>args[1]
    if (
        type(received) is not bytes
        or not PyObject_TypeCheck(driver, <PyTypeObject *>InlineDriver)
        or peek(driver, driver_required) is not <PyObject *>BYTES
        or peek(driver, waiter_wakeup) is <PyObject *>None
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    dispatcher = get(driver, driver_dispatcher)
    if type(dispatcher) is not StreamDispatcher or get(dispatcher, dispatcher_has_changed) is not False:
        return call_function(shortcut, args, nargsf, kwnames)
    decoder = get(dispatcher, dispatcher_decoder)
    if (
        not is_framed(decoder)
        or type(get(dispatcher, dispatcher_generator)) is not AsyncGenerator
        or PyBytes_GET_SIZE(received) == 0
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    stream, loop, task = get(driver, driver_stream), get(driver, waiter_loop), get(driver, carrier_task)
    context = get(driver, waiter_context)
    try:
        _enter_task(loop, task)
    except RuntimeError:  # another task is running
        return call_function(shortcut, args, nargsf, kwnames)
    if get(stream, stream_writable) is True:
        put(stream, batch_capacity, HIGH_WATER)
    state = PARKED
    try:
        PyContext_Enter(context)
        try:
            yielded = handle(driver, dispatcher, decoder, received)
            if yielded is not get(driver, driver_required):
                if yielded is TURN:  # the loop has just given others their turn
                    yielded = get(driver, driver_requests).send(None)
                state = driver._settle(yielded)
        finally:
            PyContext_Exit(context)
    except BaseException as exc:
        put(driver, carrier_failure, exc)
        state = None
    finally:
        _leave_task(loop, task)
        put(stream, batch_capacity, 0)
        parts = get(stream, batch_parts)
        if PyList_GET_SIZE(parts) == 1:
            get(stream, stream_transport).write(parts.pop())
        elif PyList_GET_SIZE(parts):
            stream.flush()
    if state is not PARKED:
        put(driver, carrier_suspended, state)
        driver.wake_now()


cdef bint is_framed(object decoder):
    cdef object type_ = type(decoder)
    return (
        type_ is CauseReportingDecoder or type_ is SeparatedDecoder or type_ is CutDecoder or type_ is FixedSizeDecoder
    )


cdef object handle(object driver, object dispatcher, object decoder, bytes received):
    """Send the requests in *received* to the handler. Return what the dispatcher requires then."""
    cdef object generator = get(dispatcher, dispatcher_generator)
    cdef object decode = get(decoder, decoder_decode)
    cdef object packet, rest
    cdef object frame = cut(decoder, received)
    cdef list frames = None
    cdef Py_ssize_t steps = 0, next_look = 1, size = 0, position = 0
    cdef double started = 0.0
    if frame is None:
        (<list>get(decoder, decoder_received)).append(received)
        return hand_over(driver, finished_step(None), 0)
    if type(frame) is list:
        frames = frame
        if PyList_GET_SIZE(frames) == 0:
            return BYTES
        if type(decoder) is FixedSizeDecoder:
            size = get(decoder, fixed_size)
        started = now()
    while True:
        if frames is not None:
            frame = frames[PyList_GET_SIZE(frames) - 1]
        try:
            packet = PyObject_CallOneArg(decode, frame)
        except BaseException as exc:
            if frames is None:
                (<list>get(decoder, decoder_received)).append(received)
            if not isinstance(exc, (KeyboardInterrupt, SystemExit)):  # decoding again raises the error for the handler
                return hand_over(driver, finished_step(None), steps)
            dispatcher.claim(exc)
            dispatcher._note_failure(exc)
            return hand_over(driver, generator.athrow(exc), steps)
        if frames is not None:
            frames.pop()
            if size:
                position += size
                put(decoder, fixed_position, position)
        rest = take_step(dispatcher, generator, packet)
        packet = None
        if rest is HAS_RETURNED:
            generator = None
            if get(dispatcher, dispatcher_is_stopped) is False:
                generator = new_generator(driver)
            if generator is None:
                return hand_over(driver, failed_step(StopAsyncIteration()), steps)
            put(dispatcher, dispatcher_generator, generator)
            rest = take_step(dispatcher, generator, None)
            if rest is not None:
                rest = failed_step(StopAsyncIteration()) if rest is HAS_RETURNED else rest
                return hand_over(driver, rest, steps, True)
        elif rest is not None:
            return hand_over(driver, rest, steps)
        steps += 1
        if get(dispatcher, dispatcher_has_changed) is not False:
            return hand_over(driver, finished_step(None), steps)
        if frames is None:
            return BYTES
        if PyList_GET_SIZE(frames) == 0:
            return BYTES if leave(decoder, received) else hand_over(driver, finished_step(None), steps)
        if steps == next_look:
            next_look *= 4
            if steps >= STEPS_PER_TURN or now() - started > TURN_TIME:
                return hand_over(driver, finished_step(None), STEPS_PER_TURN)


cdef object new_generator(object driver):
    """Return the generator for the next requests, or None to end. If that fails, the dispatcher ends too."""
    cdef object generator
    try:
        generator = get(driver, driver_next_generator)()
        if generator is not None and type(generator) is not AsyncGenerator:
            raise not_a_generator(generator)
        return generator
    except BaseException:
        get(driver, driver_requests).close()
        raise


cdef object cut(object decoder, bytes chunk):
    """Cut a chunk into frames, as *decoder* does. Return the only frame, or the frames in reverse order.

    Return None, with nothing done, if that is not as simple as usual.
    """
    cdef object type_ = type(decoder)
    if PyList_GET_SIZE(get(decoder, decoder_received)):
        return None
    if type_ is SeparatedDecoder or type_ is CauseReportingDecoder:
        return cut_separated(decoder, chunk)
    return cut_fixed_size(decoder, chunk) if type_ is FixedSizeDecoder else cut_by_format(decoder, chunk)


cdef bint leave(object decoder, bytes chunk) except -1:
    """Do what *decoder* does when the last frame of *chunk* has been taken. Return whether there is nothing more."""
    cdef object type_ = type(decoder)
    if type_ is FixedSizeDecoder:
        if get(decoder, fixed_position) == PyBytes_GET_SIZE(chunk):
            put(decoder, decoder_chunk, b"")
            put(decoder, fixed_position, 0)
    elif type_ is CutDecoder:
        if get(decoder, cut_has_uncut) is not False:
            return False
        put(decoder, decoder_chunk, b"")
    elif not get(decoder, decoder_tail):
        put(decoder, decoder_chunk, b"")
    return True


cdef object cut_fixed_size(object decoder, bytes chunk):
    cdef Py_ssize_t size = get(decoder, fixed_size)
    cdef Py_ssize_t position = PyBytes_GET_SIZE(chunk) // size * size
    cdef list frames
    if (
        position == 0
        or PyBytes_GET_SIZE(get(decoder, decoder_chunk))
        or get(decoder, fixed_partial) is not None
    ):
        return None
    if position == size == PyBytes_GET_SIZE(chunk):
        return chunk
    frames = []
    while position:
        position -= size
        frames.append(PyBytes_FromStringAndSize(PyBytes_AS_STRING(chunk) + position, size))
    put(decoder, decoder_chunk, chunk)
    put(decoder, fixed_position, 0)
    return frames


cdef object cut_by_format(object decoder, bytes chunk):
    cdef list frames
    if (
        PyList_GET_SIZE(get(decoder, cut_frames))
        or get(decoder, cut_has_uncut) is not False
        or get(decoder, cut_partial) is not None
        or get(decoder, cut_dropping) is not None
        or get(decoder, cut_lost) is not None
    ):
        return None
    try:
        frames, stop, end = get(decoder, cut_format).split(chunk, 0)
    except Exception:  # cutting it again raises the error for the handler
        return None
    if PyList_GET_SIZE(frames) == 1 and stop == PyBytes_GET_SIZE(chunk):
        return frames.pop()
    decoder._accept(chunk, 0, frames, stop, end)
    return frames


cdef object cut_separated(object decoder, bytes chunk):
    cdef bytes separator = get(decoder, decoder_separator)
    cdef const char *position = PyBytes_AS_STRING(chunk)
    cdef const char *end = position + PyBytes_GET_SIZE(chunk)
    cdef const char *found
    cdef char byte
    cdef list frames
    if (
        PyBytes_GET_SIZE(separator) != 1
        or end - position > <Py_ssize_t>get(decoder, decoder_limit)
        or PyList_GET_SIZE(get(decoder, decoder_frames))
        or get(decoder, decoder_tail)
    ):
        return None
    byte = PyBytes_AS_STRING(separator)[0]
    found = <const char *>memchr(position, byte, end - position)
    if found is NULL:
        return None
    if found + 1 == end:
        return PyBytes_FromStringAndSize(position, found - position)
    frames = []
    while found is not NULL:
        frames.append(PyBytes_FromStringAndSize(position, found - position))
        position = found + 1
        found = <const char *>memchr(position, byte, end - position)
    frames.reverse()
    put(decoder, decoder_frames, frames)
    put(decoder, decoder_tail, PyBytes_FromStringAndSize(position, end - position))
    put(decoder, decoder_chunk, chunk)
    put(decoder, decoder_sizes, None)
    put(decoder, decoder_has_large, False)
    return frames


cdef object take_step(object dispatcher, object generator, object argument):
    """Resume *generator* with *argument*.

    Return None if it waits for the next request without a limit, `HAS_RETURNED` if it has returned, and otherwise what
    is left of the step: an awaitable.
    """
    cdef PyObject *arguments[2]
    cdef PyObject *result = NULL
    cdef PyObject *hook
    cdef PyThreadState *thread
    cdef object awaitable, yielded
    cdef outcome outcome
    arguments[0], arguments[1] = <PyObject *>generator, <PyObject *>argument
    if argument is None:  # it starts, and the hook of the event loop must not register it: see UnregisteredGenerators
        thread = PyThreadState_Get()
        hook, thread.async_gen_firstiter = thread.async_gen_firstiter, NULL
        try:
            awaitable = PyObject_Vectorcall(asend, arguments, 2, NULL)
        finally:
            thread.async_gen_firstiter = hook
    else:
        awaitable = PyObject_Vectorcall(asend, arguments, 2, NULL)
    put(dispatcher, dispatcher_is_stepped, True)
    try:
        outcome = take_first_step(awaitable, &result)
    except BaseException as exc:
        return failed_step(exc)
    finally:
        put(dispatcher, dispatcher_is_stepped, False)
    if outcome == RETURNED:
        return HAS_RETURNED
    yielded = <object>result
    Py_XDECREF(result)
    if outcome == SUSPENDED:
        return resumed_step(awaitable, yielded)
    return None if yielded is None else finished_step(yielded)


cdef object hand_over(object driver, object rest, Py_ssize_t steps, bint is_start=False):
    """Let the dispatcher go on: with *rest*, what is left of a step of the generator. Return what it requires then."""
    return get(driver, driver_requests).throw(HandedOver(rest, steps, is_start))


cdef inline double now() noexcept:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec + 1e-9 * time.tv_nsec


cdef Py_ssize_t client_request_handler = 0
cdef object ConnectedClient = None, refuse_none


cdef object next_generator(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    global ConnectedClient, client_request_handler, refuse_none
    cdef object client, generator
    if ConnectedClient is None:
        from easynetwork.lowlevel._core.handler_generators import refuse_none
        from easynetwork.servers._stream_server import ConnectedClient
        client_request_handler = slot_offset(ConnectedClient._request_handler)
    if PyVectorcall_NARGS(nargsf) == 1 and PyObject_TypeCheck(<object>args[0], <PyTypeObject *>ConnectedClient):
        client = <object>args[0]
        generator = get(client, client_request_handler).handle(client)
        return generator if type(generator) is AsyncGenerator else generator or refuse_none()
    return call_function(shortcut, args, nargsf, kwnames)


# ------------------------------------------------------------------------------------------------------ lines of text


cdef class Function:
    """A function of one argument, for one serializer."""

    cdef vectorcallfunc vectorcall

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)


cdef class TextDecoder(Function):
    """``data.decode(encoding, errors)``."""

    cdef object encoding
    cdef object errors
    cdef const char *error_handler
    cdef bint is_utf8

    def __cinit__(self, str encoding, str errors):
        self.vectorcall = <vectorcallfunc>decode_text
        self.is_utf8 = encoding == "utf-8"
        self.errors = errors.encode()
        self.error_handler = PyBytes_AS_STRING(self.errors)


cdef object decode_text(TextDecoder decoder, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef bytes data = <bytes?><object>args[0]
    if decoder.is_utf8:
        return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), decoder.error_handler)
    return PyUnicode_DecodeASCII(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), decoder.error_handler)


cdef class LineEncoder(Function):
    """``StringLineSerializer.encode_frame``, which does what this shortcut does not."""

    cdef object encode_frame
    cdef char newline

    def __cinit__(self, encode_frame, bytes separator):
        self.vectorcall = <vectorcallfunc>encode_line
        self.encode_frame, self.newline = encode_frame, separator[0]


cdef object encode_line(LineEncoder encoder, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object packet = <object>args[0]
    cdef Py_ssize_t size
    cdef const char *text
    cdef char *line
    if type(packet) is not str or not PyUnicode_IS_COMPACT_ASCII(packet):
        return PyObject_CallOneArg(encoder.encode_frame, packet)
    text, size = <const char *>PyUnicode_DATA(packet), PyUnicode_GET_LENGTH(packet)
    if size == 0 or text[size - 1] == encoder.newline:
        return PyObject_CallOneArg(encoder.encode_frame, packet)
    data = PyBytes_FromStringAndSize(NULL, size + 1)
    line = PyBytes_AS_STRING(data)
    memcpy(line, text, size)
    line[size] = encoder.newline
    return data


cdef Function function = Function()
for type_ in (TextDecoder, LineEncoder):
    call_by_vector(type_, <char *>&function.vectorcall - <char *><PyObject *>function)


def text_decoder(str encoding, str errors):
    """Return a function like ``data.decode(encoding, errors)``; None if there is no shortcut of it."""
    return TextDecoder(encoding, errors) if encoding in ("ascii", "utf-8") else None


def line_encoder(encode_frame, str encoding, bytes separator):
    """Return a function like *encode_frame*, the method of `StringLineSerializer`; None if there is no shortcut."""
    return LineEncoder(encode_frame, separator) if encoding in ("ascii", "utf-8") and len(separator) == 1 else None


# ---------------------------------------------------------------------------------------------------------- decorator


def shortcut(function):
    """Return *function* with its shortcut."""
    cdef Shortcut shortcut = Shortcut(function)
    if function.__qualname__ == "PacketSender.send_packet":
        shortcut.vectorcall = <vectorcallfunc>send_packet
    elif function.__qualname__ == "InlineDriver.step":
        shortcut.vectorcall = <vectorcallfunc>step
    elif function.__qualname__ == "ConnectedClient._next_generator":
        shortcut.vectorcall = <vectorcallfunc>next_generator
    else:
        raise ValueError(f"There is no shortcut of {function.__qualname__}")
    return shortcut
