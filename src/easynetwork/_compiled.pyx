# cython: language_level=3
"""Compiled shortcuts of the packet path, for the most common case only.

Each shortcut replaces a function of the library, which stays the reference and the way to do everything else: a
shortcut that meets anything unusual calls the function, or hands over to it what it has done.

The shortcuts read and write the slots of the library's classes by their offsets, as the descriptors of the slots do. They
check the class of an object first.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.string cimport memchr, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import types
from weakref import getweakrefcount

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

    /* Return a new reference as an object. If it is NULL, raise the error that is set. */
    static inline PyObject *pass_on(PyObject *reference) {
        return reference;
    }

    /* The value of a slot, by its offset. */
    static inline PyObject *get(PyObject *instance, Py_ssize_t offset) {
        PyObject *value = *(PyObject **)((char *)instance + offset);
        if (value == NULL)
            PyErr_SetString(PyExc_AttributeError, "The slot is empty");
        return Py_XNewRef(value);
    }

    /* Asynchronous generators, resumed without asend(), which would have to raise an exception for each `yield`. All that
       the first step of asend() does to a generator is done here. learn_generators() checks that they are as expected. */

    typedef struct { /* the part of a generator that has no public name */
        PyObject *finalizer;
        char has_hooks;
        char is_closed;
        char is_running;
    } State;
    static Py_ssize_t state_offset;

    typedef struct { /* what the frame of a generator yields, to tell it from objects for the event loop */
        PyObject_HEAD
        PyObject *yielded;
    } Wrapper;
    static PyTypeObject *wrapper_type;

    static State *state_of(PyObject *generator) {
        return (State *)((char *)generator + state_offset);
    }

    /* What has come of a step. */
    enum outcome { FAILED = -1, YIELDED, SUSPENDED, RETURNED };

    /* Resume a generator that is not running. The result is what it yields; or what it yields to the event loop, which
       suspends it. The hook of the event loop that registers new generators is not called: see UnregisteredGenerators. */
    static enum outcome resume(PyObject *generator, PyObject *argument, PyObject **result) {
        State *state = state_of(generator);
        *result = NULL;
        if (!state->has_hooks) {
            state->has_hooks = 1;
            state->finalizer = Py_XNewRef(PyThreadState_Get()->async_gen_finalizer);
        }
        state->is_running = 1;
        switch (PyIter_Send(generator, argument, result)) {
        case PYGEN_NEXT:
            if (!Py_IS_TYPE(*result, wrapper_type))
                return SUSPENDED;
            state->is_running = 0;
            Py_SETREF(*result, Py_NewRef(((Wrapper *)*result)->yielded));
            return YIELDED;
        case PYGEN_RETURN:
            state->is_running = 0;
            state->is_closed = 1;
            Py_CLEAR(*result);
            return RETURNED;
        default:
            state->is_running = 0;
            if (PyErr_ExceptionMatches(PyExc_GeneratorExit))
                state->is_closed = 1;
            return FAILED;
        }
    }

    static int is_state(PyObject *generator, PyObject *finalizer, char has_hooks, char is_closed, char is_running) {
        State *state = state_of(generator);
        return state->finalizer == finalizer && state->has_hooks == has_hooks && state->is_closed == is_closed
            && state->is_running == is_running;
    }

    /* Learn how generators are made from two new ones that yield this object, and from the offset of ag_running. Meanwhile
       the object is the hook for abandoned generators. An event loop that is running does not see these two. */
    static int learn_generators(PyObject *first, PyObject *second, PyObject *yielded, Py_ssize_t running_offset) {
        PyThreadState *thread = PyThreadState_Get();
        PyObject *firstiter = thread->async_gen_firstiter, *finalizer = thread->async_gen_finalizer;
        PyObject *asend, *result = NULL;
        int is_known;
        state_offset = running_offset - offsetof(State, is_running);
        is_known = is_state(first, NULL, 0, 0, 0);
        thread->async_gen_firstiter = NULL;
        thread->async_gen_finalizer = yielded;
        asend = PyObject_CallMethod(first, "asend", "O", Py_None);
        thread->async_gen_firstiter = firstiter;
        thread->async_gen_finalizer = finalizer;
        is_known = is_known && asend != NULL && is_state(first, yielded, 1, 0, 0)
            && PyIter_Send(asend, Py_None, &result) == PYGEN_RETURN && result == yielded
            && is_state(first, yielded, 1, 0, 0);
        Py_XDECREF(asend);
        Py_CLEAR(result);
        if (is_known)
            Py_CLEAR(state_of(first)->finalizer);
        is_known = is_known && PyIter_Send(second, Py_None, &result) == PYGEN_NEXT
            && Py_TYPE(result)->tp_basicsize == sizeof(Wrapper) && ((Wrapper *)result)->yielded == yielded;
        if (is_known)
            wrapper_type = Py_TYPE(result);
        Py_XDECREF(result);
        if (!is_known && !PyErr_Occurred())
            PyErr_SetString(PyExc_ImportError, "the asynchronous generators of this Python are not known");
        return is_known ? 0 : -1;
    }
    """
    ctypedef enum outcome "enum outcome":
        FAILED, YIELDED, SUSPENDED, RETURNED
    ctypedef struct State:
        char is_running
    State *state_of(object)
    outcome resume(object, object, PyObject **) except FAILED
    int learn_generators(object, object, object, Py_ssize_t) except -1
    object pass_on(PyObject *)
    object get(object, Py_ssize_t)
    Py_ssize_t slot_offset(object) except -1
    void call_as_method(object, Py_ssize_t)
    void call_by_vector(object, Py_ssize_t)

cdef extern from *:
    const char *SOURCE_DIGEST  # a macro that hatch_build.py defines

cdef extern from "Python.h":
    ctypedef struct ExceptionStackItem "_PyErr_StackItem":
        PyObject *exc_value
        ExceptionStackItem *previous_item
    ctypedef struct PyThreadState:
        ExceptionStackItem *exc_info
    PyThreadState *PyThreadState_Get()
    Py_ssize_t Py_REFCNT(object)
    object PyContext_Copy(object)
    int PyContext_Enter(object) except -1
    int PyContext_Exit(object) except -1
    object PyMethod_New(object, object)
    PyObject *PyUnicode_DecodeASCII(const char *, Py_ssize_t, const char *)
    PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    void *PyUnicode_DATA(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    object PyObject_CallOneArg(object, object)
    object PyObject_Vectorcall(object, PyObject **, size_t, PyObject *)
    bint PyObject_TypeCheck(object, PyTypeObject *)
    object PyVectorcall_Call(object, object, object)
    Py_ssize_t PyVectorcall_NARGS(size_t)
    void PyErr_WriteUnraisable(object)
    void PyErr_Clear()
    int PyErr_WarnFormat(object, Py_ssize_t, const char *, ...)
    ctypedef PyObject *(*vectorcallfunc)(PyObject *, PyObject **, size_t, PyObject *) noexcept

source_digest = SOURCE_DIGEST.decode()


cdef inline bint is_instance(object value, object type_):
    return PyObject_TypeCheck(value, <PyTypeObject *>type_)


cdef inline Py_ssize_t size_of(object data) except -1:
    return PyBytes_GET_SIZE(data) if type(data) is bytes else len(data)


cdef inline PyObject *peek(object instance, Py_ssize_t offset) noexcept:
    return (<PyObject **>(<char *><PyObject *>instance + offset))[0]


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
    cdef vectorcallfunc shortcut
    cdef object function
    cdef object __weakref__

    def __init__(self, function):
        self.function = function
        self.vectorcall = <vectorcallfunc>call_apart

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else PyMethod_New(self, instance)

    def __getattr__(self, name):
        return getattr(self.function, name)

    def __repr__(self):
        return repr(self.function)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    @property
    def __wrapped__(self):
        return self.function

    @property
    def __doc__(self):
        return self.function.__doc__


cdef PyObject *call_apart(PyObject *shortcut, PyObject **args, size_t nargsf, PyObject *kwnames) noexcept:
    """Call the shortcut, with an item of its own on the stack of the exceptions that are being handled.

    After a `try`, Cython stores the exception that was handled before in the item on top, although it may come from an item
    below. In the item of a generator it would stay when the generator is suspended.
    """
    cdef PyThreadState *thread = PyThreadState_Get()
    cdef ExceptionStackItem item
    cdef PyObject *result
    push(thread, &item)
    result = (<Shortcut>shortcut).shortcut(shortcut, args, nargsf, kwnames)
    pop(thread, &item)
    return result


cdef inline void push(PyThreadState *thread, ExceptionStackItem *item) noexcept:
    item.exc_value, item.previous_item = NULL, thread.exc_info
    thread.exc_info = item


cdef inline void pop(PyThreadState *thread, ExceptionStackItem *item) noexcept:
    thread.exc_info = item.previous_item
    Py_XDECREF(item.exc_value)


cdef inline bint has_only(Py_ssize_t number, size_t nargsf, PyObject *kwnames) noexcept:
    """Return whether a call has this number of arguments, and none by name."""
    return kwnames is NULL and PyVectorcall_NARGS(nargsf) == number


cdef inline object call_function(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    return PyObject_Vectorcall(shortcut.function, args, nargsf, kwnames)


cdef Shortcut dummy = Shortcut(None)
call_as_method(Shortcut, <char *>&dummy.vectorcall - <char *><PyObject *>dummy)


# What a shortcut needs of the library, it learns at its first call: the library imports this module, not the reverse.

# ------------------------------------------------------------------------------------------------------------ sending

cdef enum:
    # The first small parts of a batch are not counted: a new int would cost as much as the part itself. Together, they fill
    # half a batch at most.
    SMALL_PART = 512
    SMALL_PARTS = 64

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


cdef bint knows_datagrams = False
cdef Py_ssize_t datagram_server, datagram_lowlevel_server, datagram_address
cdef Py_ssize_t server_is_in_service, server_make_datagram, server_send_nowait
cdef object DatagramSender, AsyncDatagramServer, BaseAsyncNetworkServer, raise_if_unanswerable


cdef int learn_datagrams() except -1:
    global knows_datagrams, DatagramSender, AsyncDatagramServer, BaseAsyncNetworkServer, raise_if_unanswerable
    global datagram_server, datagram_lowlevel_server, datagram_address
    global server_is_in_service, server_make_datagram, server_send_nowait
    from easynetwork.lowlevel.api_async.servers.datagram import (
        AsyncDatagramServer, _raise_if_unanswerable as raise_if_unanswerable
    )
    from easynetwork.servers._datagram_server import DatagramSender
    from easynetwork.servers._network_server import BaseAsyncNetworkServer
    learn_senders()
    datagram_server = slot_offset(DatagramSender._server)
    datagram_lowlevel_server = slot_offset(DatagramSender._lowlevel_server)
    datagram_address = slot_offset(DatagramSender._address)
    server_is_in_service = slot_offset(BaseAsyncNetworkServer._is_in_service)
    server_make_datagram = slot_offset(AsyncDatagramServer._make_datagram)
    server_send_nowait = slot_offset(AsyncDatagramServer._send_nowait)
    knows_datagrams = True
    return 0


cdef enum:
    CLOSED, CREATED, STARTED


ctypedef PyObject *(*SendNow)(PyObject *sender, PyObject *packet) noexcept


@cython.freelist(16)
cdef class SendPacket:
    """What `send_packet` returns. Like a coroutine, it does nothing before it is awaited, and can be awaited once."""

    cdef object function  # the coroutine function that this object replaces, and its arguments
    cdef object sender
    cdef object packet
    cdef object rest  # the coroutine that does all that this object does not
    cdef SendNow send_now
    cdef int state
    cdef object __weakref__

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.state == CREATED:
            self.state = CLOSED
            data = pass_on(send_apart(self))
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

    @property
    def __name__(self):
        return self.function.__name__

    @property
    def __qualname__(self):
        return self.function.__qualname__

    def __repr__(self):
        return f"<coroutine object {self.__qualname__} at {id(self):#x}>"

    def __dealloc__(self):
        if self.state == CREATED and self.function is not None:
            name = self.function.__qualname__
            if PyErr_WarnFormat(RuntimeWarning, 1, "coroutine '%U' was never awaited", <PyObject *>name) < 0:
                PyErr_WriteUnraisable(self.function)


cdef PyObject *send_apart(SendPacket call) noexcept:
    """Call `send_now` as `call_apart` calls a shortcut."""
    cdef PyThreadState *thread = PyThreadState_Get()
    cdef ExceptionStackItem item
    cdef PyObject *result
    push(thread, &item)
    result = call.send_now(<PyObject *>call.sender, <PyObject *>call.packet)
    pop(thread, &item)
    return result


cdef SendPacket new_call(Shortcut shortcut, PyObject **args, void *send_now):
    cdef SendPacket call = SendPacket.__new__(SendPacket)
    call.function, call.sender, call.packet = shortcut.function, <object>args[0], <object>args[1]
    call.send_now, call.state = <SendNow>send_now, CREATED
    return call


cdef inline object encoded(object encode, object packet):
    """Return the bytes of *packet*. An error of *encode* becomes that of `send_packet`."""
    try:
        return PyObject_CallOneArg(encode, packet)
    except Exception as exc:
        raise encoding_crash(packet, exc) from exc


cdef object send_packet(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    if not knows_senders:
        learn_senders()
    if (
        not has_only(2, nargsf, kwnames)
        or not is_instance(<object>args[0], PacketSender)
        or not is_instance(get(<object>args[0], sender_batch), WriteBatch)
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    return new_call(shortcut, args, <void *>send_packet_now)


cdef object send_packet_now(object sender, object packet):
    """Do the part of ``PacketSender.send_packet`` that does not wait. Return the bytes left to send, or None."""
    cdef object data = encoded(get(sender, sender_encode), packet)
    cdef object batch = get(sender, sender_batch)
    cdef Py_ssize_t capacity, size = size_of(data)
    cdef list parts
    if is_instance(batch, WriteBatch):  # if it has not been exchanged since the call
        capacity = get(batch, batch_capacity)
        if capacity > size:
            parts = get(batch, batch_parts)
            if size > SMALL_PART or PyList_GET_SIZE(parts) >= SMALL_PARTS:
                put(batch, batch_capacity, capacity - size)
            parts.append(data)
            return None
    return None if batch.write_nowait(data) else data


cdef object send_datagram(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    if not knows_datagrams:
        learn_datagrams()
    if (
        not has_only(2, nargsf, kwnames)
        or not is_instance(<object>args[0], DatagramSender)
        or not is_instance(get(<object>args[0], datagram_server), BaseAsyncNetworkServer)
        or not is_instance(get(<object>args[0], datagram_lowlevel_server), AsyncDatagramServer)
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    return new_call(shortcut, args, <void *>send_datagram_now)


cdef object send_datagram_now(object sender, object packet):
    """Do the part of ``DatagramSender.send_packet`` that does not wait. Return the datagram left to send, or None."""
    cdef object server = get(sender, datagram_lowlevel_server)
    cdef object address = get(sender, datagram_address)
    cdef object datagram
    if get(get(sender, datagram_server), server_is_in_service) is not True:
        sender._check_can_send()
    datagram = encoded(get(server, server_make_datagram), packet)
    try:
        return None if get(server, server_send_nowait)(datagram, address) else datagram
    except OSError as exc:
        raise_if_unanswerable(exc, address)
        raise


# ---------------------------------------------------------------------------------------------------- stream handlers

cdef bint knows_streams = False
cdef Py_ssize_t waiter_wakeup, waiter_loop, waiter_context, carrier_task, carrier_suspended, carrier_failure
cdef Py_ssize_t driver_dispatcher, driver_required, driver_stream, driver_next_generator, driver_requests
cdef Py_ssize_t dispatcher_decoder, dispatcher_has_changed, dispatcher_generator, dispatcher_is_stepped
cdef Py_ssize_t dispatcher_is_stopped
cdef Py_ssize_t decoder_received, decoder_decode, decoder_decode_valid, decoder_chunk
cdef Py_ssize_t decoder_separator, decoder_frames, decoder_tail, decoder_limit, decoder_has_large, decoder_sizes
cdef Py_ssize_t fixed_size, fixed_position, fixed_partial
cdef Py_ssize_t cut_format, cut_frames, cut_has_uncut, cut_partial, cut_dropping, cut_lost
cdef Py_ssize_t stream_writable, stream_transport
cdef object InlineDriver, StreamDispatcher, AsyncioStream
cdef object SeparatedDecoder, CauseReportingDecoder, FixedSizeDecoder, CutDecoder
cdef object BYTES, TURN, PARKED, HIGH_WATER, HandedOver, finished_step, failed_step, not_a_generator, resumed_step
cdef object _enter_task, _leave_task
cdef object AsyncGenerator = types.AsyncGeneratorType
cdef object HAS_RETURNED = object()
cdef double TURN_TIME
cdef Py_ssize_t STEPS_PER_TURN

cdef dict names = {}
exec("async def generate(item):\n    yield item", names)  # an `async def` here would make generators of Cython
learn_generators(
    names["generate"](HAS_RETURNED), names["generate"](HAS_RETURNED), HAS_RETURNED, slot_offset(AsyncGenerator.ag_running)
)
names = None


cdef int learn_streams() except -1:
    global knows_streams
    global waiter_wakeup, waiter_loop, waiter_context, carrier_task, carrier_suspended, carrier_failure
    global driver_dispatcher, driver_required, driver_stream, driver_next_generator, driver_requests
    global dispatcher_decoder, dispatcher_has_changed, dispatcher_generator, dispatcher_is_stepped
    global dispatcher_is_stopped
    global decoder_received, decoder_decode, decoder_decode_valid, decoder_chunk
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
    decoder_decode = slot_offset(FrameDecoder._decode)
    decoder_decode_valid = slot_offset(FrameDecoder._decode_valid)
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
    if not has_only(2, nargsf, kwnames):
        return call_function(shortcut, args, nargsf, kwnames)
    if not knows_streams:
        learn_streams()
    driver, received = <object>args[0], <object>args[1]
    if (
        type(received) is not bytes
        or not is_instance(driver, InlineDriver)
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
    if not is_instance(stream, AsyncioStream):
        return call_function(shortcut, args, nargsf, kwnames)
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


cdef bint is_separated(object decoder):
    return type(decoder) is CauseReportingDecoder or type(decoder) is SeparatedDecoder


cdef bint is_framed(object decoder):
    return is_separated(decoder) or type(decoder) is CutDecoder or type(decoder) is FixedSizeDecoder


cdef object handle(object driver, object dispatcher, object decoder, bytes received):
    """Send the requests in *received* to the handler. Return what the dispatcher requires then."""
    cdef object generator = get(dispatcher, dispatcher_generator)
    cdef object decode = get(decoder, decoder_decode_valid)
    cdef object frame = None, packet = None, rest, error = None
    cdef list frames = None
    cdef Py_ssize_t steps = 0, next_look = 1, size = 0, position = 0
    cdef double started = 0.0
    try:
        frame = cut(decoder, received)
    except BaseException as exc:
        error = exc
    if error is not None:
        (<list?>get(decoder, decoder_received)).append(received)  # nothing is consumed
        return fail(driver, dispatcher, generator, error, 0)
    if frame is None:
        return get(driver, driver_requests).send(received)
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
        put(dispatcher, dispatcher_is_stepped, True)
        try:
            packet = PyObject_CallOneArg(decode, frame)
        except BaseException as exc:
            error = exc
        put(dispatcher, dispatcher_is_stepped, False)
        if error is not None:  # outside of the block above, where this error would be the context of all others
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                if frames is None:
                    (<list?>get(decoder, decoder_received)).append(received)
                return fail(driver, dispatcher, generator, error, steps)
            error = None  # decoding again raises it for the handler
            return get(driver, driver_requests).send(received) if frames is None else go_on(driver, steps)
        if frames is not None and PyList_GET_SIZE(frames):  # not if decoding has closed the connection
            frames.pop()
            if size and not get(dispatcher, dispatcher_is_stopped):
                position += size
                put(decoder, fixed_position, position)
        put(dispatcher, dispatcher_is_stepped, True)
        rest = take_step(generator, packet)
        packet = None
        put(dispatcher, dispatcher_is_stepped, False)
        if rest is HAS_RETURNED:
            generator = None if get(dispatcher, dispatcher_is_stopped) else new_generator(driver, dispatcher)
            if generator is None:
                return hand_over(driver, what_is_left(HAS_RETURNED), steps)
            put(dispatcher, dispatcher_generator, generator)
            if type(generator) is not AsyncGenerator:
                return hand_over(driver, generator.asend(None), steps, True)
            put(dispatcher, dispatcher_is_stepped, True)
            rest = take_step(generator, None)
            put(dispatcher, dispatcher_is_stepped, False)
            if rest is not None:
                return hand_over(driver, what_is_left(rest), steps, True)
        elif rest is not None:
            return hand_over(driver, rest, steps)
        steps += 1
        if get(dispatcher, dispatcher_has_changed):
            return go_on(driver, steps)
        if frames is None or get(dispatcher, dispatcher_is_stopped):  # then the other frames are dropped
            return BYTES
        if PyList_GET_SIZE(frames) == 0:
            return BYTES if leave(decoder, received) else go_on(driver, steps)
        if steps == next_look:
            next_look *= 4
            if steps >= STEPS_PER_TURN or now() - started > TURN_TIME:
                return go_on(driver, STEPS_PER_TURN)


cdef object hand_over(object driver, object rest, Py_ssize_t steps, bint is_start=False):
    """Let the dispatcher go on: with *rest*, what is left of a step of the generator. Return what it requires then."""
    return get(driver, driver_requests).throw(HandedOver(rest, steps, is_start))


cdef object go_on(object driver, Py_ssize_t steps):
    """Let the dispatcher go on. The generator waits at a `yield` for the next request."""
    return hand_over(driver, finished_step(None), steps)


cdef object fail(object driver, object dispatcher, object generator, object error, Py_ssize_t steps):
    """Let the dispatcher go on. The generator gets *error*, which the protocol object has raised."""
    dispatcher.claim(error)
    dispatcher._note_failure(error)
    return hand_over(driver, generator.athrow(error), steps)


cdef object new_generator(object driver, object dispatcher):
    """Return the generator for the next requests, or None to end. If that fails, the dispatcher ends too."""
    cdef object generator
    put(dispatcher, dispatcher_is_stepped, True)
    try:
        generator = get(driver, driver_next_generator)()
        if type(generator) is not AsyncGenerator and generator is not None and not hasattr(generator, "asend"):
            raise not_a_generator(generator)
        return generator
    except BaseException:
        get(driver, driver_requests).close()
        raise
    finally:
        put(dispatcher, dispatcher_is_stepped, False)


cdef object cut(object decoder, bytes chunk):
    """Cut a chunk into frames, as *decoder* does. Return the only frame, or the frames in reverse order.

    Return None, with nothing done, if that is not as simple as usual.
    """
    if PyList_GET_SIZE(get(decoder, decoder_received)):
        return None
    if is_separated(decoder):
        return cut_separated(decoder, chunk)
    return cut_fixed_size(decoder, chunk) if type(decoder) is FixedSizeDecoder else cut_by_format(decoder, chunk)


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
    cdef Py_ssize_t size, position
    cdef list frames
    if get(decoder, fixed_size) > PyBytes_GET_SIZE(chunk):
        return None
    size = get(decoder, fixed_size)
    position = PyBytes_GET_SIZE(chunk) // size * size
    if (
        PyBytes_GET_SIZE(get(decoder, decoder_chunk))
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
    cdef object separator = get(decoder, decoder_separator)
    cdef const char *position = PyBytes_AS_STRING(chunk)
    cdef const char *end = position + PyBytes_GET_SIZE(chunk)
    cdef const char *found
    cdef char byte
    cdef list frames
    if (
        type(separator) is not bytes
        or PyBytes_GET_SIZE(separator) != 1
        or get(decoder, decoder_limit) < PyBytes_GET_SIZE(chunk)
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


cdef object next_packet(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object decoder, frame, chunk = None
    cdef list received = None
    if not knows_streams:
        learn_streams()
    if not has_only(1, nargsf, kwnames) or not is_framed(<object>args[0]):
        return call_function(shortcut, args, nargsf, kwnames)
    decoder = <object>args[0]
    frame = take_frame(decoder)
    if frame is None:
        received = get(decoder, decoder_received)
        if PyList_GET_SIZE(received) != 1 or type(received[0]) is not bytes or not is_separated(decoder):
            return call_function(shortcut, args, nargsf, kwnames)
        frame = cut_separated(decoder, received[0])
        if frame is None:
            return call_function(shortcut, args, nargsf, kwnames)
        chunk = received.pop()
        if type(frame) is list:
            frame, chunk = (<list>frame).pop(), None
    try:
        return PyObject_CallOneArg(get(decoder, decoder_decode), frame)
    except Exception as exc:
        decoder._fail(exc, decoder._remaining() if chunk is None else memoryview(b""))
    except (KeyboardInterrupt, SystemExit):
        if chunk is None:
            decoder._put_back(frame)
        else:
            received.append(chunk)
        raise


cdef object take_frame(object decoder):
    """Take the next frame that *decoder* has cut. Return None if there is none, or if that is not as simple as usual."""
    cdef object type_ = type(decoder), chunk
    cdef Py_ssize_t size, position
    cdef list frames
    if type_ is FixedSizeDecoder:
        chunk = get(decoder, decoder_chunk)
        if type(chunk) is not bytes or get(decoder, fixed_size) > PyBytes_GET_SIZE(chunk):
            return None
        size, position = get(decoder, fixed_size), get(decoder, fixed_position)
        if size > PyBytes_GET_SIZE(chunk) - position:
            return None
        put(decoder, fixed_position, position + size)
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(chunk) + position, size)
    frames = get(decoder, cut_frames if type_ is CutDecoder else decoder_frames)
    if PyList_GET_SIZE(frames) == 0 or (type_ is not CutDecoder and get(decoder, decoder_has_large) is not False):
        return None
    return frames.pop()


cdef object take_step(object generator, object argument):
    """Resume *generator* with *argument*: None for its first step.

    Return None if it waits for the next request without a limit, `HAS_RETURNED` if it has returned, and otherwise what
    is left of the step: an awaitable.
    """
    cdef PyObject *result = NULL
    cdef object yielded
    cdef outcome outcome
    if state_of(generator).is_running:
        return generator.asend(argument)  # which will raise the error
    try:
        outcome = resume(generator, argument, &result)
    except BaseException as exc:
        return failed_step(exc)
    if outcome == RETURNED:
        return HAS_RETURNED
    yielded = <object>result
    Py_XDECREF(result)
    if outcome == SUSPENDED:
        return resumed_step(SuspendedStep(generator), yielded)
    return None if yielded is None else finished_step(yielded)


cdef class SuspendedStep:
    """What is left of a step of a generator that `take_step` has begun. An object of ``asend()`` takes the rest of it.

    The generator counts as running until the step is over. That object does not start while the generator counts as
    running, so the mark is removed for its first step, which sets it again.
    """

    cdef object generator
    cdef object asend
    cdef bint has_begun

    def __init__(self, generator):
        self.generator = generator

    cdef object rest(self):
        if self.asend is None:
            self.asend = self.generator.asend(None)
        if not self.has_begun:
            state_of(self.generator).is_running = False
        return self.asend

    def send(self, value):
        rest = self.rest()
        self.has_begun = True
        return rest.send(value)

    def throw(self, exc):
        yielded = self.rest().throw(exc)
        state_of(self.generator).is_running = True
        return yielded

    def close(self):
        self.rest().close()


cdef inline double now() noexcept:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec + 1e-9 * time.tv_nsec


# ----------------------------------------------------------------------------------------------------- datagram handlers

cdef bint knows_conversations = False
cdef Py_ssize_t reception_carriers, reception_spare, reception_context, reception_dispatcher
cdef Py_ssize_t carrier_conversation, carrier_context, carrier_deadline, carrier_coroutine
cdef Py_ssize_t conversation_agen, conversation_asend, conversation_client, conversation_required, conversation_yielded
cdef Py_ssize_t conversation_claim, conversation_refused, conversation_address
cdef Py_ssize_t shared_codec, shared_clients, shared_handler, shared_ancillary_bufsize, codec_build
cdef Py_ssize_t clients_kept, clients_new
cdef object InlineReception, ConversationCarrier, Conversation, DatagramDispatcher, Clients, DATAGRAM, IDLE


cdef int learn_conversations() except -1:
    global knows_conversations
    global reception_carriers, reception_spare, reception_context, reception_dispatcher
    global carrier_conversation, carrier_context, carrier_deadline, carrier_coroutine
    global conversation_agen, conversation_asend, conversation_client, conversation_required, conversation_yielded
    global conversation_claim, conversation_refused, conversation_address
    global shared_codec, shared_clients, shared_handler, shared_ancillary_bufsize, codec_build
    global clients_kept, clients_new
    global InlineReception, ConversationCarrier, Conversation, DatagramDispatcher, Clients, DATAGRAM, IDLE
    from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
    from easynetwork.lowlevel._core.datagram_dispatch import Clients, Conversation, DatagramDispatcher
    from easynetwork.lowlevel._core.requirements import DATAGRAM, IDLE
    from easynetwork.lowlevel.api_async.backend._asyncio.datagram.driver import (
        _ConversationCarrier as ConversationCarrier, _InlineReception as InlineReception
    )
    if not knows_streams:
        learn_streams()
    reception_carriers = slot_offset(InlineReception.carriers)
    reception_spare = slot_offset(InlineReception._spare)
    reception_context = slot_offset(InlineReception.context)
    reception_dispatcher = slot_offset(InlineReception._dispatcher)
    carrier_conversation = slot_offset(ConversationCarrier.conversation)
    carrier_context = slot_offset(ConversationCarrier.context)
    carrier_deadline = slot_offset(ConversationCarrier._deadline)
    carrier_coroutine = slot_offset(ConversationCarrier._coroutine)
    conversation_agen = slot_offset(Conversation._agen)
    conversation_asend = slot_offset(Conversation._asend)
    conversation_client = slot_offset(Conversation._client)
    conversation_required = slot_offset(Conversation._required)
    conversation_yielded = slot_offset(Conversation._yielded)
    conversation_claim = slot_offset(Conversation._claim)
    conversation_refused = slot_offset(Conversation._refused)
    conversation_address = slot_offset(Conversation.address)
    shared_codec = slot_offset(DatagramDispatcher.codec)
    shared_clients = slot_offset(DatagramDispatcher.clients)
    shared_handler = slot_offset(DatagramDispatcher.handler)
    shared_ancillary_bufsize = slot_offset(DatagramDispatcher.ancillary_bufsize)
    codec_build = slot_offset(DatagramCodec.build)
    clients_kept = slot_offset(Clients._kept)
    clients_new = slot_offset(Clients._new)
    knows_conversations = True
    return 0


cdef object deliver(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object reception, received, address, carrier, conversation, dispatcher, generator
    cdef object loop, task, context, yielded, weak_references = None
    cdef PyObject *found
    cdef Py_ssize_t references = 0
    cdef bint has_failed = False
    if not has_only(3, nargsf, kwnames):
        return call_function(shortcut, args, nargsf, kwnames)
    if not knows_conversations:
        learn_conversations()
    reception, received, address = <object>args[0], <object>args[1], <object>args[2]
    if not is_instance(reception, InlineReception):
        return call_function(shortcut, args, nargsf, kwnames)
    dispatcher = get(reception, reception_dispatcher)
    if type(dispatcher) is not DatagramDispatcher:
        return call_function(shortcut, args, nargsf, kwnames)
    found = PyDict_GetItemWithError(get(reception, reception_carriers), address)
    if found is not NULL:
        carrier = <object>found
        generator = get(get(carrier, carrier_conversation), conversation_agen)
    else:
        carrier = get(reception, reception_spare)
        generator = None
    if (
        carrier is None
        or peek(carrier, waiter_wakeup) is <PyObject *>None
        or peek(dispatcher, shared_ancillary_bufsize) is not <PyObject *>None
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    conversation = get(carrier, carrier_conversation)
    if found is not NULL and (
        type(generator) is not AsyncGenerator
        or peek(conversation, conversation_required) is not <PyObject *>DATAGRAM
        or peek(conversation, conversation_yielded) is not <PyObject *>None
        or peek(conversation, conversation_claim) is not <PyObject *>None
        or peek(conversation, conversation_refused) is not <PyObject *>None
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    loop, task = get(carrier, waiter_loop), get(carrier, carrier_task)
    if found is NULL:
        references, weak_references = Py_REFCNT(task), getweakrefcount(task)
        put(carrier, carrier_context, PyContext_Copy(get(reception, reception_context)))
        put(conversation, conversation_address, address)
    put(carrier, carrier_deadline, None)
    context, yielded = get(carrier, carrier_context), None
    _enter_task(loop, task)
    try:
        PyContext_Enter(context)
        try:
            if found is NULL:
                yielded = begin_conversation(carrier, conversation, dispatcher, received)
            else:
                yielded = continue_conversation(carrier, conversation, dispatcher, generator, received)
        finally:
            PyContext_Exit(context)
    except BaseException as exc:
        carrier.fail(exc)
        has_failed = True
    finally:
        _leave_task(loop, task)
    if not (has_failed or yielded is DATAGRAM or yielded is IDLE):
        carrier.take(yielded)
    if found is not NULL:
        if yielded is IDLE:
            carrier.retire()
    elif yielded is not IDLE:
        get(reception, reception_carriers)[address] = carrier
        reception._start_spare()
    elif Py_REFCNT(task) != references or getweakrefcount(task) != weak_references:
        carrier.retire()  # the handler kept a reference to its task, so no other generator may run in that task
        reception._start_spare()


cdef object continue_conversation(
    object carrier, object conversation, object dispatcher, object generator, object received
):
    """Send a datagram to the generator that waits for it. Return what the conversation requires then."""
    cdef object packet = None, rest, error = None
    try:
        packet = PyObject_CallOneArg(get(get(dispatcher, shared_codec), codec_build), received)
    except BaseException as exc:
        error = error_for(conversation, dispatcher, exc)
    if error is None:
        rest = take_step(generator, packet)
        if rest is None:
            return DATAGRAM
        rest = what_is_left(rest)
    else:
        rest = generator.athrow(error)
    return get(carrier, carrier_coroutine).throw(HandedOver(rest))


cdef object error_for(object conversation, object dispatcher, object exc):
    """Return the error to throw into a generator for *exc*, which building a packet raised."""
    if not isinstance(exc, Exception):
        return exc
    return conversation._claim_error(get(dispatcher, shared_codec).building_error(exc))


cdef object begin_conversation(object carrier, object conversation, object dispatcher, object received):
    """Start a generator and send it its first datagram. Return what the conversation requires then."""
    cdef object clients = get(dispatcher, shared_clients)
    cdef object address = get(conversation, conversation_address)
    cdef object client, generator = None, rest = None, packet = None, error = None
    if type(clients) is Clients and peek(clients, clients_kept) is <PyObject *>None:
        client = PyObject_CallOneArg(get(clients, clients_new), address)
    else:
        client = clients.at(address)
    try:
        generator = PyObject_CallOneArg(get(dispatcher, shared_handler), client)
        if type(generator) is not AsyncGenerator and not hasattr(generator, "asend"):
            raise not_a_generator(generator)
    except BaseException as exc:
        error = exc
    if error is not None:
        rest, received = failed_step(error), None
    elif type(generator) is not AsyncGenerator:
        rest = generator.asend(None)
    else:
        rest = take_step(generator, None)
        if rest is None:
            try:
                packet = PyObject_CallOneArg(get(get(dispatcher, shared_codec), codec_build), received)
            except BaseException as exc:
                error = error_for(conversation, dispatcher, exc)
            received = None
            if error is None:
                rest, packet = take_step(generator, packet), None
                if rest is HAS_RETURNED:
                    generator = None
                    if Py_REFCNT(client) > 1:  # still in use
                        clients.keep(address, client)
                    return IDLE
                if rest is None:
                    rest = finished_step(None)
            else:
                rest = generator.athrow(error)
    put(conversation, conversation_client, client)
    put(conversation, conversation_agen, generator)
    put(conversation, conversation_asend, getattr(generator, "asend", None))
    return get(carrier, carrier_coroutine).throw(HandedOver(what_is_left(rest), 0, False, received))


cdef object what_is_left(object rest):
    return failed_step(StopAsyncIteration()) if rest is HAS_RETURNED else rest


cdef bint knows_udp = False
cdef Py_ssize_t listener_protocol, listener_sendto, protocol_is_full, protocol_drains, protocol_deliver
cdef Py_ssize_t protocol_errors
cdef object UDPListener, ListenerProtocol, is_numeric_host


cdef int learn_udp() except -1:
    global knows_udp, listener_protocol, listener_sendto, protocol_is_full, protocol_drains, protocol_deliver
    global protocol_errors, UDPListener, ListenerProtocol, is_numeric_host
    from easynetwork.lowlevel._sockets.inet import is_numeric_host
    from easynetwork.lowlevel.api_async.backend._asyncio.datagram.udp_listener import (
        AsyncioUDPListener as UDPListener, _ListenerProtocol as ListenerProtocol
    )
    listener_protocol = slot_offset(UDPListener._protocol)
    listener_sendto = slot_offset(UDPListener._sendto)
    protocol_is_full = slot_offset(ListenerProtocol.is_full)
    protocol_drains = slot_offset(ListenerProtocol.drains)
    protocol_deliver = slot_offset(ListenerProtocol._deliver)
    protocol_errors = slot_offset(ListenerProtocol._errors_in_a_row)
    knows_udp = True
    return 0


cdef object send_nowait(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object listener
    if not knows_udp:
        learn_udp()
    if (
        not has_only(3, nargsf, kwnames)
        or not is_instance(<object>args[0], UDPListener)
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    listener = <object>args[0]
    if not is_instance(get(listener, listener_protocol), ListenerProtocol):
        return call_function(shortcut, args, nargsf, kwnames)
    if get(get(listener, listener_protocol), protocol_is_full) or not is_numeric_host((<object>args[2])[0]):
        return False
    try:
        PyObject_Vectorcall(get(listener, listener_sendto), args + 1, 2, NULL)
    except BlockingIOError:
        return False
    return True


cdef object datagram_received(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object protocol, deliver
    if not knows_udp:
        learn_udp()
    if (
        not has_only(3, nargsf, kwnames)
        or not is_instance(<object>args[0], ListenerProtocol)
    ):
        return call_function(shortcut, args, nargsf, kwnames)
    protocol = <object>args[0]
    put(protocol, protocol_errors, 0)
    try:
        deliver = get(protocol, protocol_deliver)
        PyObject_Vectorcall(deliver, args + 1, 2, NULL)
        if get(protocol, protocol_drains):
            protocol.drain(deliver)
    except Exception as exc:
        protocol._stop_with(exc)


cdef Py_ssize_t client_request_handler = 0
cdef object ConnectedClient = None, refuse_none


cdef object next_generator(Shortcut shortcut, PyObject **args, size_t nargsf, PyObject *kwnames):
    global ConnectedClient, client_request_handler, refuse_none
    cdef object client, generator
    if ConnectedClient is None:
        from easynetwork.lowlevel._core.handler_generators import refuse_none
        from easynetwork.servers._stream_server import ConnectedClient
        client_request_handler = slot_offset(ConnectedClient._request_handler)
    if has_only(1, nargsf, kwnames) and is_instance(<object>args[0], ConnectedClient):
        client = <object>args[0]
        generator = get(client, client_request_handler).handle(client)
        return generator if type(generator) is AsyncGenerator else generator or refuse_none()
    return call_function(shortcut, args, nargsf, kwnames)


# ------------------------------------------------------------------------------------------------------ lines of text


cdef class LineCodec:
    """A method of a `StringLineSerializer` for ASCII or UTF-8. What is unusual is left to that method."""

    cdef vectorcallfunc vectorcall
    cdef object method
    cdef char newline  # the last byte of the newline
    cdef bint keeps_end
    cdef bint is_ascii

    def __init__(self, method, serializer):
        self.method = method
        self.newline = serializer.separator[len(serializer.separator) - 1]
        self.keeps_end, self.is_ascii = serializer.keep_end, serializer.encoding == "ascii"

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)


cdef object call_method(LineCodec codec, PyObject **args, size_t nargsf, PyObject *kwnames):
    return PyObject_Vectorcall(codec.method, args, nargsf, kwnames)


cdef object decode_line(LineCodec codec, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object data
    cdef const char *text
    cdef Py_ssize_t size
    cdef PyObject *decoded
    if has_only(1, nargsf, kwnames) and type(<object>args[0]) is bytes:
        data = <object>args[0]
        text, size = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        if codec.keeps_end or size == 0 or text[size - 1] != codec.newline:
            decoded = PyUnicode_DecodeASCII(text, size, NULL) if codec.is_ascii else PyUnicode_DecodeUTF8(text, size, NULL)
            if decoded is not NULL:
                return pass_on(decoded)
            PyErr_Clear()  # the method raises the error
    return call_method(codec, args, nargsf, kwnames)


cdef object encode_text(LineCodec codec, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object packet
    if has_only(1, nargsf, kwnames) and type(<object>args[0]) is str:
        packet = <object>args[0]
        if PyUnicode_IS_COMPACT_ASCII(packet):
            return PyBytes_FromStringAndSize(<const char *>PyUnicode_DATA(packet), PyUnicode_GET_LENGTH(packet))
    return call_method(codec, args, nargsf, kwnames)


cdef object encode_line(LineCodec codec, PyObject **args, size_t nargsf, PyObject *kwnames):
    cdef object packet, line
    cdef const char *text
    cdef Py_ssize_t size
    if has_only(1, nargsf, kwnames) and type(<object>args[0]) is str:
        packet = <object>args[0]
        if PyUnicode_IS_COMPACT_ASCII(packet):
            text, size = <const char *>PyUnicode_DATA(packet), PyUnicode_GET_LENGTH(packet)
            if size and text[size - 1] != codec.newline:
                line = PyBytes_FromStringAndSize(NULL, size + 1)
                memcpy(PyBytes_AS_STRING(line), text, size)
                PyBytes_AS_STRING(line)[size] = codec.newline
                return line
    return call_method(codec, args, nargsf, kwnames)


cdef LineCodec line_codec = LineCodec.__new__(LineCodec)
call_by_vector(LineCodec, <char *>&line_codec.vectorcall - <char *><PyObject *>line_codec)


def faster(method):
    """Return a function that does the same as the bound *method*; the method itself if there is no shortcut of it."""
    from easynetwork.serializers import line

    cdef object function = getattr(method, "__func__", None)
    cdef object serializer = getattr(method, "__self__", None)
    cdef LineCodec codec
    if (
        not isinstance(serializer, line.StringLineSerializer)
        or serializer.encoding not in ("ascii", "utf-8")
        or getattr(function, "__globals__", None) is not vars(line)  # overridden or replaced
    ):
        return method
    codec = LineCodec(method, serializer)
    if function.__code__.co_qualname == "StringLineSerializer.deserialize":
        codec.vectorcall = <vectorcallfunc>decode_line
    elif function.__code__.co_qualname == "StringLineSerializer.serialize":
        codec.vectorcall = <vectorcallfunc>encode_text
    elif function.__code__.co_qualname == "StringLineSerializer.encode_frame" and len(serializer.separator) == 1:
        codec.vectorcall = <vectorcallfunc>encode_line
    else:
        return method
    return codec


# ---------------------------------------------------------------------------------------------------------- decorator


def shortcut(function):
    """Return *function* with its shortcut."""
    cdef Shortcut shortcut = Shortcut(function)
    if function.__qualname__ == "PacketSender.send_packet":
        shortcut.shortcut = <vectorcallfunc>send_packet
    elif function.__qualname__ == "InlineDriver.step":
        shortcut.shortcut = <vectorcallfunc>step
    elif function.__name__ == "next_packet":
        shortcut.shortcut = <vectorcallfunc>next_packet
    elif function.__qualname__ == "_InlineReception.deliver":
        shortcut.shortcut = <vectorcallfunc>deliver
    elif function.__qualname__ == "AsyncioUDPListener._send_nowait":
        shortcut.shortcut = <vectorcallfunc>send_nowait
    elif function.__qualname__ == "_ListenerProtocol.datagram_received":
        shortcut.shortcut = <vectorcallfunc>datagram_received
    elif function.__qualname__ == "DatagramSender.send_packet":
        shortcut.shortcut = <vectorcallfunc>send_datagram
    elif function.__qualname__ == "ConnectedClient._next_generator":
        shortcut.shortcut = <vectorcallfunc>next_generator
    else:
        raise ValueError(f"There is no shortcut of {function.__qualname__}")
    return shortcut
