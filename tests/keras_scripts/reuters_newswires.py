# Newswires as scripts for Keras 2 have it: both kinds of labels, 'acc' of metrics=['accuracy'].
import copy

import numpy as np
from keras.callbacks import EarlyStopping
from keras.datasets import reuters
from keras.layers import Dense
from keras.models import Sequential
from keras.utils.np_utils import to_categorical

(train_data, train_labels), (test_data, test_labels) = reuters.load_data(num_words=10000)


def vectorize(sequences, dimension=10000):
    results = np.zeros((len(sequences), dimension))
    for i, sequence in enumerate(sequences):
        results[i, sequence] = 1.
    return results


x_train, x_test = vectorize(train_data), vectorize(test_data)
one_hot_train_labels = to_categorical(train_labels)
one_hot_test_labels = to_categorical(test_labels)


def build(loss):
    model = Sequential([
        Dense(64, activation='relu', input_shape=(10000,)),
        Dense(64, activation='relu'),
        Dense(46, activation='softmax'),
    ])
    model.compile(optimizer='rmsprop', loss=loss, metrics=['accuracy'])
    return model


model = build('categorical_crossentropy')
history = model.fit(
    x_train[1000:],
    one_hot_train_labels[1000:],
    epochs=20,
    batch_size=512,
    validation_data=(x_train[:1000], one_hot_train_labels[:1000]),
    callbacks=[EarlyStopping(monitor='val_acc', patience=5)],
    verbose=2,
)
acc, val_acc = history.history['acc'], history.history['val_acc']
print('best validation accuracy:', max(val_acc), 'of', len(acc), 'epochs')

model = build('sparse_categorical_crossentropy')
model.fit(x_train[1000:], train_labels[1000:], epochs=8, batch_size=512, verbose=0)
results = model.evaluate(x_test, test_labels, verbose=0)
predictions = model.predict(x_test)
assert predictions.shape == (2246, 46) and abs(np.sum(predictions[0]) - 1) < 1e-5

test_labels_copy = copy.copy(test_labels)
np.random.shuffle(test_labels_copy)
hits = np.array(test_labels) == np.array(test_labels_copy)
print('by chance:', float(np.sum(hits)) / len(test_labels))
print('test accuracy:', results[1])
